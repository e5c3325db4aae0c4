"""Run circuits: the objective of a model of which only some edges are kept."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Shaped

from .._core import Objective
from ..models import EdgeMask, Graph, Transformer, graph as graph_of
from ..tasks import Pairs
from ._ablation import AbstractAblation, ablation_of
from ._checks import check_pairs
from ._chunks import chunk_size
from ._values import LOGIT_DIFFERENCE, values_of


def run(
    model: Transformer,
    pairs: Pairs,
    keep: Shaped[Array, "*span source destination"],
    *,
    ablation: str | AbstractAblation = "resample",
    graph: Graph | None = None,
    spans: Int[Array, "example pos"] | None = None,
) -> Float[Array, "example pos d_vocab"]:
    """Logits of the clean sequences when only some edges are kept.

    Args:
        model: The model.
        pairs: Clean and corrupted sequences.
        keep: Which edges are kept; shares between 0 and 1 keep some of an edge.
        ablation: What the others carry instead.
        graph: Whose edges these are; that of the model by default.
        spans: The span of each position, if `keep` has a mask for each span.

    Returns:
        Logits at all positions.

    Raises:
        ValueError: the mask is of another graph.
    """
    fitted = ablation_of(ablation).fitted(model, pairs)
    instead = fitted(model, pairs)
    mask = EdgeMask(model, keep.astype(jnp.float32), instead, graph, spans)
    return model(pairs.clean, edits=(mask,))


class Performance(NamedTuple):
    """What circuits make of each pair.

    Args:
        values: The objective, for each circuit and pair; 0 where a pair has none.
        counts: Which pairs have one.
    """

    values: Float[Array, "circuit example"]
    counts: Bool[Array, " example"]

    @property
    def mean(self) -> Float[Array, " circuit"]:
        """The mean over the pairs that count."""
        number = self.counts.sum().astype(self.values.dtype)
        return self.values.sum(axis=-1) / number


def performance(
    model: Transformer,
    pairs: Pairs,
    circuits: Shaped[Array, "circuit *span source destination"],
    *,
    objective: Objective = LOGIT_DIFFERENCE,
    ablation: str | AbstractAblation = "resample",
    graph: Graph | None = None,
    spans: Int[Array, "example pos"] | None = None,
    batch_size: int | None = None,
) -> Performance:
    """The objective of many circuits, each pair for itself, in one compiled program.

    What is put in place of cut edges is computed once for all circuits.

    Args:
        model: The model.
        pairs: Clean and corrupted sequences, with right and wrong answers.
        circuits: Masks: which edges each circuit keeps.
        objective: What is measured.
        ablation: What the other edges carry.
        graph: Whose edges these are; that of the model by default.
        spans: The span of each position, if each circuit has a mask for each span.
        batch_size: Pairs at once; what fits into memory by default.

    Raises:
        ValueError: pairs or masks do not fit.
    """
    check_pairs(pairs, who="performance")
    ablation = ablation_of(ablation)
    graph = graph_of(model.config) if graph is None else graph
    _check_circuits(circuits.shape, graph, spans)
    n_examples, n_pos = pairs.clean.shape
    if batch_size is None:
        batch_size = chunk_size(model.config, n_examples, n_pos, 1, "performance")
    fitted = ablation.fitted(model, pairs)
    size = min(batch_size, n_examples)
    return Performance(
        *_in_chunks(model, pairs, circuits, objective, fitted, graph, spans, size)
    )


def _check_circuits(shape: tuple[int, ...], graph: Graph, spans) -> None:
    """Refuse masks of another graph, and spans without a mask.

    Raises:
        ValueError: as said.
    """
    axes = "circuit, " + "span, " * (spans is not None)
    if shape[-2:] != graph.exists.shape or len(shape) != 3 + (spans is not None):
        raise ValueError(
            f"performance: `circuits` must have the shape ({axes}"
            f"{', '.join(map(str, graph.exists.shape))}); got {shape}. Masks "
            "are of one graph, `circuits.graph(model.config)`."
        )
    if spans is None or isinstance(spans, Tracer):
        return
    # An index that is too large would read the last mask without a word.
    if not 0 <= int(spans.min()) <= int(spans.max()) < shape[1]:
        raise ValueError(
            f"performance: `spans` goes from {int(spans.min())} to {int(spans.max())}, "
            f"and circuits have masks for spans 0 to {shape[1] - 1}."
        )


@eqx.filter_jit
def _in_chunks(model, pairs, circuits, objective, ablation, graph, spans, size):
    n_examples = pairs.clean.shape[0]
    places = jnp.arange(-(-n_examples // size) * size).reshape(-1, size)

    def chunk(places):
        # The last chunk is filled up with an example that is dropped below.
        rows = jnp.minimum(places, n_examples - 1)
        some, here = jax.tree.map(lambda x: x[rows], (pairs, spans))
        instead = ablation(model, some)

        def one(keep):
            mask = EdgeMask(model, keep.astype(jnp.float32), instead, graph, here)
            logits = model(some.clean, edits=(mask,))
            return values_of(objective, logits, some)

        return jax.lax.map(one, circuits)

    with jax.default_matmul_precision("highest"):
        values, counts = jax.lax.map(chunk, places)
    # [chunk, circuit, example of the chunk] to [circuit, example].
    join = lambda x: jnp.moveaxis(x, 0, 1).reshape(x.shape[1], -1)[:, :n_examples]
    values, counts = join(values), join(counts)
    # An example counts by its answers, so it does for every circuit or for none.
    return jnp.where(counts, values, 0), counts[0]
