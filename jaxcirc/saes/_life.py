"""From latents at each checkpoint to features that live over several."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Array, Float

from ._assignment import assignment
from ._lives import Lives
from ._rules import Rules

# From a latent of one checkpoint to one of a later one, by their places in the run.
Similarity = Callable[[int, int], Float[Array | np.ndarray, "a b"]]


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
        [_neighbour(latents, end, similarity, rules.enter) for end in ends], int
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


def _neighbour(latents, end, similarity, enter) -> int:
    """The feature of the next or last checkpoint that a latent is nearest to, or -1.

    A feature begins where no latent was left for it, and ends where none is. If another
    feature was near all the same, the two share it.
    """
    here, there, latent = end
    if not 0 <= there < latents.shape[1]:
        return -1
    table = np.asarray(similarity(min(here, there), max(here, there)))
    row = table[latent] if here < there else table[:, latent]
    others = np.flatnonzero(latents[:, there] >= 0)
    near = row[latents[others, there]]
    return int(others[near.argmax()]) if len(near) and near.max() >= enter else -1
