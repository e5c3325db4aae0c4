"""Lives of features, as arrays."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclasses.dataclass(frozen=True)
class Lives:
    """The features of a run: a row for each that was there for long enough.

    Attributes:
        steps: The step of each checkpoint.
        latents: Which latent each feature is at each checkpoint; -1 where it is away.
        similarity: Of that latent to the one that the feature was when last seen; NaN
            at the first and where it is away.
        fleeting: How many latents that are not dead belong to no feature, at each
            checkpoint: those seen more briefly than a feature must be. At the ends of
            the run some of them are features that are not seen for long enough yet.
        split_of: The feature to which each was near when it began, so that it is a part
            of that one and nothing new; -1 for none.
        merged_into: The feature that is near to where each ended, so that it lives on
            in that one; -1 for none.
        persist: For how many checkpoints a feature must be there, or away.
    """

    steps: tuple[int, ...]
    latents: Int[np.ndarray, "life checkpoint"]
    similarity: Float[np.ndarray, "life checkpoint"]
    fleeting: Int[np.ndarray, " checkpoint"]
    split_of: Int[np.ndarray, " life"]
    merged_into: Int[np.ndarray, " life"]
    persist: int

    @property
    def born(self) -> Int[np.ndarray, " life"]:
        """The place of the first checkpoint that has each feature.

        Below `persist` it is no birth: the feature was there when the run was first
        looked at, or was missed so briefly that it may have been.
        """
        return (self.latents >= 0).argmax(axis=1)

    @property
    def last(self) -> Int[np.ndarray, " life"]:
        """The place of the last checkpoint that has each feature."""
        return self.latents.shape[1] - 1 - (self.latents[:, ::-1] >= 0).argmax(axis=1)

    @property
    def died(self) -> Int[np.ndarray, " life"]:
        """The place of the first checkpoint after each feature's end; -1 for no death.

        A feature that is away at the last checkpoints only, and at fewer than `persist`
        of them, may come back, and has not died.
        """
        gone = self.last + self.persist < self.latents.shape[1]
        return np.where(gone, self.last + 1, -1)

    @property
    def present(self) -> Bool[np.ndarray, "life checkpoint"]:
        """Whether each feature lives at each checkpoint, short absences included."""
        place = np.arange(self.latents.shape[1])
        return (place >= self.born[:, None]) & (place <= self.last[:, None])

    @property
    def births(self) -> Int[np.ndarray, " checkpoint"]:
        """How many features are born at each checkpoint, after `persist` without.

        Those that split off another one are not counted; see `splits`.
        """
        return self._count(self.born, (self.born >= self.persist) & (self.split_of < 0))

    @property
    def splits(self) -> Int[np.ndarray, " checkpoint"]:
        """How many features begin at each checkpoint as a part of another one."""
        return self._count(self.born, self.split_of >= 0)

    @property
    def deaths(self) -> Int[np.ndarray, " checkpoint"]:
        """How many features have died by each checkpoint since the one before.

        Those that another one goes on with are not counted; see `merges`.
        """
        return self._count(self.died, (self.died >= 0) & (self.merged_into < 0))

    @property
    def merges(self) -> Int[np.ndarray, " checkpoint"]:
        """How many features have ended by each checkpoint in another one."""
        return self._count(self.died, (self.died >= 0) & (self.merged_into >= 0))

    def _count(self, places: np.ndarray, which: np.ndarray) -> np.ndarray:
        return np.bincount(places[which], minlength=len(self.steps))

    @property
    def drift(self) -> Float[np.ndarray, "life checkpoint"]:
        """By how much each feature turned, for each doubling of 1 + step.

        (1 - cos) / log2((1 + step) / (1 + step when last seen)), where similarities are
        cosines of directions; NaN at the first checkpoint and where it is away.
        """
        time = np.log2(1 + np.asarray(self.steps, float))
        away = np.full(self.latents.shape, np.nan)
        for life, latents in enumerate(self.latents):
            seen = np.flatnonzero(latents >= 0)
            away[life, seen[1:]] = np.diff(time[seen])
        return (1 - self.similarity) / away
