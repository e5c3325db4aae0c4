"""The smallest circuit that keeps enough, found by running more and more sizes."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..models import Transformer
from ..tasks import Pairs
from ._ablation import AbstractAblation, ablation_of
from ._choose import growth, ranks
from ._faithfulness import faithfulness
from ._scores import Scores


class Search(NamedTuple):
    """The smallest circuit that keeps enough, of those that were run.

    Args:
        keep: Its edges.
        size: How many there are.
        faithfulness: What it keeps, normalised.
        sizes: All sizes that were run, ascending. Of a size that is not here nothing is
            known, be it between two that are not enough.
        kept: What the circuit of each of them keeps.
    """

    keep: Bool[Array, "source destination"]
    size: int
    faithfulness: float
    sizes: Int[Array, " size"]
    kept: Float[Array, " size"]


def search(
    model: Transformer,
    pairs: Pairs,
    scores: Scores,
    *,
    at_least: float = 0.8,
    grid: int = 12,
    grow: bool = False,
    signed: bool = False,
    ablation: str | AbstractAblation = "resample",
    **options,
) -> Search:
    """The smallest circuit that keeps a share of the objective, to the edge.

    What circuits of growing size keep need not rise, so nothing is halved: `grid` sizes
    are run, evenly spaced in their logarithm from one edge to all. Below the smallest
    that is enough, down to the next size that was run and is not, `grid` sizes more are
    run, evenly spaced, and so on until no size is left between the two. So the circuit
    with one edge less was run and is not enough, and nor is any smaller one of `sizes`.
    A rise and fall between two sizes of the first grid stays unseen; a finer grid sees
    more, and one as large as the number of edges sees everything.

    Every round is the same compiled program, of `grid` + 2 forward passes; three rounds
    are enough for a thousand edges. Not for use under `jit`; `smallest` chooses from a
    family there.

    Args:
        model: The model.
        pairs: Clean and corrupted sequences, with right and wrong answers.
        scores: What edges are ordered by.
        at_least: Normalised faithfulness that is enough, up to 1, which all edges have.
        grid: How many sizes are run at a time; at least 2.
        grow: Circuits grow from the logits, as those of `greedy`, and are not the top.
        signed: As for `top`.
        ablation: What cut edges carry.
        **options: As for `performance`: `objective`, `batch_size`.

    Returns:
        The circuit, and all that was run on the way.

    Raises:
        ValueError: `at_least` is above 1, `grid` is below 2, scores are told apart by
            span, or all edges and none give the same, so that there is nothing to keep.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc import circuits
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> from jaxcirc.tasks import Induction
        >>> config = TransformerConfig(d_vocab=8, n_ctx=9, n_layers=1, n_heads=2)
        >>> model = Transformer(config, key=jr.key(0))
        >>> pairs = circuits.pairs(Induction(7, 9, 3, 4), 4, key=jr.key(1))
        >>> scores = circuits.attribute(model, pairs, "eap")
        >>> circuits.search(model, pairs, scores, at_least=1.0, grid=9).size <= 9
        True
    """
    if at_least > 1 or grid < 2:
        raise ValueError(
            f"search: `at_least` is a share up to 1, which all edges keep, and `grid` "
            f"is 2 or more; got {at_least} and {grid}."
        )
    order = growth if grow else ranks
    rank = order(scores, signed=signed)
    if rank.ndim != 2:
        raise ValueError(
            "search: scores are told apart by span; sizes are numbers of edges of one "
            "mask. Sum them over spans."
        )
    fitted = ablation_of(ablation).fitted(model, pairs)
    known: dict[int, float] = {}
    best = scores.graph.n_edges
    sizes = _first(best, grid)
    while len(sizes):
        # Filled up with its last size, so that all rounds have the shape of the first.
        filled = np.append(sizes, [sizes[-1]] * (grid - len(sizes))).astype(int)
        family = rank[None] < jnp.asarray(filled)[:, None, None]
        found = faithfulness(
            model, pairs, family, graph=scores.graph, ablation=fitted, **options
        )
        known |= dict(zip(filled.tolist(), found.normalised.tolist(), strict=True))
        best = _smallest_enough(known, at_least)
        below = max((size for size in known if size < best), default=0)
        sizes = _between(below, best, grid)
    tried = sorted(known)
    kept = jnp.array([known[size] for size in tried])
    return Search(rank < best, best, known[best], jnp.array(tried), kept)


def _first(n_edges: int, grid: int) -> np.ndarray:
    """Sizes from one edge to all, evenly spaced in their logarithm; all, if few."""
    if grid >= n_edges:
        return np.arange(1, n_edges + 1)
    return np.unique(np.geomspace(1, n_edges, grid).round().astype(int))


def _between(below: int, best: int, grid: int) -> np.ndarray:
    """Sizes strictly between two, evenly spaced, or all of them if these are few."""
    sizes = np.unique(np.linspace(below, best, grid + 2).round().astype(int))
    return sizes[(sizes > below) & (sizes < best)]


def _smallest_enough(known: dict[int, float], at_least: float) -> int:
    """The smallest size that is enough.

    Raises:
        ValueError: none is, not even all edges.
    """
    enough = [size for size, kept in known.items() if kept >= at_least]
    if not enough:
        raise ValueError(
            "search: the objective is the same with all edges as with none, so there "
            "is no behaviour that a circuit could keep. See `Faithfulness.told`."
        )
    return min(enough)
