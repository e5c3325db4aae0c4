"""Whole sources patched: everything that reads one reads something else."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._core import Objective
from ..models import Graph, Transformer, graph as graph_of, written
from ..tasks import Pairs
from ._ablation import AbstractAblation, ablation_of
from ._attribute import in_chunks
from ._checks import check_pairs
from ._chunks import chunk_size
from ._moved import moved
from ._setting import Setting
from ._sources import stacked
from ._values import LOGIT_DIFFERENCE, objective_name, values_of


class NodeScores(eqx.Module):
    """How the objective changes when a whole source is replaced.

    Args:
        values: A change for each source; before it comes an axis of examples, if they
            were asked for one by one.
        graph: Whose sources these are.
        ablation: What was put in place, a row of `ABLATIONS`.
        objective: Name of the objective that changes.
        counts: Which examples count, where they are told apart; others have 0.
    """

    values: Float[Array, "*axes source"]
    graph: Graph = eqx.field(static=True)
    ablation: str = eqx.field(static=True)
    objective: str = eqx.field(static=True)
    counts: Bool[Array, " example"] | None = None


def patch_nodes(
    model: Transformer,
    pairs: Pairs,
    *,
    objective: Objective = LOGIT_DIFFERENCE,
    ablation: str | AbstractAblation = "resample",
    positions: bool = False,
    per_example: bool = False,
    batch_size: int | None = None,
    at_once: int = 16,
) -> NodeScores:
    """How the objective changes when each source is replaced for all that read it.

        effect[u] = m(u writes instead_u) - m(clean)

    Activation patching of embedding, heads and MLPs, and the truth that
    `Scores.nodes` of an attribution method predicts. One forward pass for each source
    and example, in one program.

    Args:
        model: The model.
        pairs: Clean and corrupted sequences, with right and wrong answers.
        objective: What a change is measured of.
        ablation: What is put in place: a row of `ABLATIONS`, or an ablation.
        positions: Whether learned positions are a source of their own.
        per_example: Whether examples are told apart.
        batch_size: Examples at once; what fits into memory by default.
        at_once: How many sources are patched at a time.

    Returns:
        A change for every source, the mean over the examples that have an answer,
        unless each is told.

    Raises:
        ValueError: pairs, ablation or objective do not fit each other.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc import circuits
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> from jaxcirc.tasks import Induction
        >>> config = TransformerConfig(d_vocab=8, n_ctx=9, n_layers=1, n_heads=2)
        >>> model = Transformer(config, key=jr.key(0))
        >>> pairs = circuits.pairs(Induction(7, 9, 3, 4), 4, key=jr.key(1))
        >>> effects = circuits.patch_nodes(model, pairs)
        >>> effects.graph.sources, effects.values.shape
        (('embed', 'L0H0', 'L0H1'), (3,))
    """
    check_pairs(pairs, who="patch_nodes")
    ablation = ablation_of(ablation)
    graph = graph_of(model.config, positions=positions)
    n_examples, n_pos = pairs.clean.shape
    if batch_size is None:
        batch_size = chunk_size(model.config, n_examples, n_pos, at_once, "patch_nodes")
    values, counts = in_chunks(
        model, pairs, _Effects(at_once), ablation.fitted(model, pairs), objective,
        graph, None, 0, per_example, min(batch_size, n_examples),
    )  # fmt: skip
    name = objective_name(objective)
    counts = counts if per_example else None
    return NodeScores(values, graph, ablation.name, name, counts)


class _Effects(eqx.Module):
    """Effects of all sources for one chunk of examples."""

    at_once: int = eqx.field(static=True)

    def __call__(self, setting: Setting) -> Float[Array, "*example source"]:
        model, pairs, graph = setting.model, setting.pairs, setting.graph
        own = written(model, pairs.clean)
        differences = stacked(setting.instead, graph) - stacked(own, graph)

        def value(share):
            edits = moved(model.config, graph, differences, share[None])
            logits = model(pairs.clean, edits=edits)
            values, counts = values_of(setting.objective, logits, pairs)
            values = jnp.where(counts, values * setting.weights, 0)
            return values if setting.each else values.sum()

        one_by_one = jnp.eye(len(graph.sources), dtype=differences.dtype)
        after = jax.lax.map(value, one_by_one, batch_size=self.at_once)
        return jnp.moveaxis(after - value(0 * one_by_one[0])[None], 0, -1)
