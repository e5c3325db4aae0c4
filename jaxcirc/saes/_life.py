"""Lives of features: when each came, how long it stayed, which latent it was."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ._assignment import assignment

# From a latent of one checkpoint to one of a later one, by their places in the run.
Similarity = Callable[[int, int], Float[Array | np.ndarray, "a b"]]


@dataclasses.dataclass(frozen=True)
class Rules:
    """When a latent is the one of an earlier checkpoint, and when it counts at all.

    There are two thresholds each, since with one, whatever lies at it would come and go
    with every rounding: what is new has to pass the higher one, and what is established
    stays above the lower one.

    Args:
        enter: The similarity that links a latent to one seen once.
        stay: The similarity that continues a feature that was linked before.
        density: The share of tokens on which a latent must fire to begin a life.
        stay_density: The share on which it must fire to continue one.
        persist: For how many checkpoints something must be there to count as having
            come, and be away to count as having gone; at least 1.

    Raises:
        ValueError: a threshold for staying is above that for entering, or `persist` is
            below 1.
    """

    enter: float = 0.7
    stay: float = 0.6
    density: float = 1e-5
    stay_density: float = 3e-6
    persist: int = 2

    def __post_init__(self):
        """Refuse thresholds in the wrong order.

        Raises:
            ValueError: a threshold for staying is above that for entering, or `persist`
                is below 1.
        """
        if self.stay > self.enter or self.stay_density > self.density:
            raise ValueError(
                "Rules: what stays has lower thresholds than what enters; got "
                f"similarities {self.stay} and {self.enter}, densities "
                f"{self.stay_density} and {self.density}."
            )
        if self.persist < 1:
            raise ValueError(
                f"Rules: `persist` must be at least 1; got {self.persist}."
            )


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


def lives(
    similarity: Similarity,
    densities: Sequence[Float[Array | np.ndarray, " latent"]],
    steps: Sequence[int],
    rules: Rules | None = None,
) -> Lives:
    """Follow features from checkpoint to checkpoint.

    At each checkpoint, latents that fire often enough are assigned to the features seen
    at one of the `persist` checkpoints before, by their similarity to the latent that a
    feature was when last seen. A pair counts if it is above the threshold of its
    feature. What is left over begins a life of its own, and is a feature if it is seen
    at `persist` checkpoints. A feature that begins near to another one has split off
    it, and one that ends near to another has merged with it. So a feature may drift
    far, if it does so slowly, and a checkpoint at which it was missed does not end it.

    Args:
        similarity: Of the latents at two checkpoints, by their places, as a table.
        densities: For each checkpoint the share of tokens on which each latent fires.
        steps: The step of each checkpoint, ascending.
        rules: Thresholds; `Rules()` by default.

    Returns:
        The lives, in order of birth.

    Raises:
        ValueError: steps do not ascend, or there is not one array of densities for
            each.

    Example:
        The second latent comes at the third checkpoint.

        >>> import numpy as np
        >>> from jaxcirc import saes
        >>> tables = lambda earlier, later: np.eye(2)
        >>> densities = [np.array([0.1, there]) for there in (0, 0, 0.1, 0.1)]
        >>> found = saes.lives(tables, densities, (0, 10, 20, 30))
        >>> found.latents.tolist(), found.births.tolist()
        ([[0, 0, 0, 0], [-1, -1, 1, 1]], [0, 0, 1, 0])
    """
    rules = rules or Rules()
    steps = tuple(int(step) for step in steps)
    if not steps or any(a >= b for a, b in itertools.pairwise(steps)):
        raise ValueError(f"lives: `steps` must ascend; got {list(steps)}.")
    if len(densities) != len(steps):
        raise ValueError(
            f"lives: needs densities for each of the {len(steps)} checkpoints; got "
            f"{len(densities)}."
        )
    tracks: list[_Track] = []
    for place, density in enumerate(densities):
        density = np.asarray(density)
        open_ = [t for t in tracks if place - t.seen[-1][0] <= rules.persist]
        taken = _continue(open_, place, similarity, density, rules)
        begins = (density > rules.density) & ~taken
        tracks += [_Track([(place, int(i), np.nan)]) for i in np.flatnonzero(begins)]
    return _as_lives(tracks, steps, similarity, rules)


@dataclasses.dataclass
class _Track:
    """Places, latents and similarities, in the order in which they were seen."""

    seen: list[tuple[int, int, float]]


def _continue(tracks, place, similarity, density, rules) -> np.ndarray:
    """Append to each track what continues it here, and say which latents did."""
    taken = np.zeros(len(density), bool)
    if not tracks:
        return taken
    # One table for each checkpoint at which some track was last seen.
    tables = {
        last: np.asarray(similarity(last, place))
        for last in {track.seen[-1][0] for track in tracks}
    }
    near = np.stack([tables[t.seen[-1][0]][t.seen[-1][1]] for t in tracks])
    needs = [rules.enter if len(t.seen) == 1 else rules.stay for t in tracks]
    allowed = (near >= np.array(needs)[:, None]) & (density > rules.stay_density)
    # Below its threshold a pair is worth nothing, so that no other gives way to it.
    found = assignment(np.where(allowed, near, 0))
    for row, column in enumerate(found):
        if column >= 0 and allowed[row, column]:
            tracks[row].seen.append((place, int(column), float(near[row, column])))
            taken[column] = True
    return taken


def _as_lives(tracks, steps, similarity, rules) -> Lives:
    """Tracks as arrays, those that were seen for long enough."""
    kept = [track for track in tracks if len(track.seen) >= rules.persist]
    shape = (len(kept), len(steps))
    latents, nearness = np.full(shape, -1), np.full(shape, np.nan)
    for life, track in enumerate(kept):
        for place, latent, near in track.seen:
            latents[life, place], nearness[life, place] = latent, near
    brief = [track for track in tracks if len(track.seen) < rules.persist]
    places = [place for track in brief for place, _, _ in track.seen]
    fleeting = np.bincount(np.array(places, int), minlength=len(steps))
    begins = [(t.seen[0][0], t.seen[0][0] - 1, t.seen[0][1]) for t in kept]
    ends = [(t.seen[-1][0], t.seen[-1][0] + 1, t.seen[-1][1]) for t in kept]
    near_to = lambda ends: np.array(
        [_neighbour(latents, *end, similarity, rules.enter) for end in ends], int
    )
    return Lives(
        steps,
        latents,
        nearness,
        fleeting,
        near_to(begins),
        near_to(ends),
        rules.persist,
    )


def _neighbour(latents, here, there, latent, similarity, enter) -> int:
    """The feature of the next or last checkpoint that a latent is nearest to, or -1.

    A feature begins where no latent was left for it, and ends where none is. If another
    feature was near all the same, the two share it.
    """
    if not 0 <= there < latents.shape[1]:
        return -1
    table = np.asarray(similarity(min(here, there), max(here, there)))
    row = table[latent] if here < there else table[:, latent]
    others = np.flatnonzero(latents[:, there] >= 0)
    near = row[latents[others, there]]
    return int(others[near.argmax()]) if len(near) and near.max() >= enter else -1
