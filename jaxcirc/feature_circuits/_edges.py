"""Direct effects of nodes on nodes, by products with transposed Jacobians."""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .._core import Objective
from ..circuits import LOGIT_DIFFERENCE, check_moves, check_pairs, values_of
from ..models import AbstractIntervention, SiteRow, Transformer, capture, in_blocks
from ..tasks import Pairs
from ._circuit import FeatureCircuit, Node
from ._dictionaries import Dictionaries, directions
from ._exact import rows_of
from ._gradients import at_clean
from ._latents import (
    activations,
    check_ablation,
    latents,
    mean_latents,
    patched_with,
)

OUTPUT = "output"


class Edges(eqx.Module):
    """How much of the effect of a node runs directly through another.

    Args:
        values: Mean over examples, in units of the objective; 0 where the source is not
            before the destination. The last destination is the objective itself.
        nodes: The sources, and all destinations but the last.
    """

    values: Float[Array, "source destination"]
    nodes: list[Node] = eqx.field(static=True)

    def above(self, threshold: float) -> list[tuple[str, str, float]]:
        """Edges whose absolute value exceeds a threshold, the largest first.

        Args:
            threshold: In units of the objective.
        """
        names = [node.name for node in self.nodes]
        values = np.asarray(self.values)
        found = [
            (names[i], (*names, OUTPUT)[j], float(values[i, j]))
            for i, j in zip(*np.nonzero(np.abs(values) > threshold), strict=True)
        ]
        return sorted(found, key=lambda edge: -abs(edge[2]))


def edges(
    model: Transformer,
    pairs: Pairs,
    circuit: FeatureCircuit,
    *,
    ablation: str = "resample",
    objective: Objective = LOGIT_DIFFERENCE,
    batch_size: int = 16,
    at_once: int = 8,
) -> Edges:
    """Edges between the nodes of a circuit and to the objective.

    With u patched from u to u', d a node behind it and m the objective,

        edge[u, d] = (u' - u) ∂d/∂u ∂m/∂d,

    at the clean run, where ∂d/∂u is direct: it runs through no other place that has a
    dictionary (Marks et al. 2024, section 3.1; gradients stop there). Of an error d is
    what it adds along the gradient that it meets. One product with a transposed
    Jacobian for each destination has all its sources, and many are one batch.

    Args:
        model: The model.
        pairs: Clean and corrupted sequences, with right and wrong answers.
        circuit: The nodes that are kept.
        ablation: What sources are patched with.
        objective: m.
        batch_size: Examples at once.
        at_once: Destinations at a time.

    Returns:
        Edges, the mean over the pairs that have an answer. Where nodes have no
        position, sums over the positions of both ends.

    Raises:
        ValueError: pairs or the ablation do not fit, the circuit has no node, or the
            objective is flat at the clean run.
    """
    check_pairs(pairs, who="edges")
    check_ablation("edges", ablation)
    check_moves(model, pairs, objective, "edges")
    nodes = circuit.nodes
    if not nodes:
        raise ValueError(
            "edges: the circuit has no node; lower the threshold, or ask for more."
        )
    # Sorted, as dictionaries are inside of compiled programs.
    where = {site: rows_of(circuit, site, nodes) for site in sorted(circuit.keep)}
    rows = {site: columns for site, (_, columns) in where.items()}
    order = np.concatenate([np.asarray(here, int) for here, _ in where.values()])
    size = min(batch_size, len(pairs.clean))
    values = _mean_edges(
        model, circuit.dictionaries, pairs, rows, ablation, objective, size, at_once
    )
    # By site they came; by the order of computation they go.
    back = np.argsort(order)
    values = np.asarray(values)[back][:, [*back, len(order)]]
    return Edges(jnp.asarray(values), nodes)


class Cut(AbstractIntervention):
    """Stop gradients at a site, and let others begin there.

    Args:
        site: Own name of the site.
        delta: What is added behind the cut, zeros.
        here: In which layers.
    """

    site: str = eqx.field(static=True)
    delta: Float[Array, "..."]
    here: Bool[Array, "..."]

    @property
    def sites(self) -> tuple[str, ...]:
        """The one site."""
        return (self.site,)

    @property
    def layered(self) -> tuple[str, ...]:
        """Both arrays, in the blocks."""
        return ("delta", "here") if in_blocks(self.site) else ()

    def inner_sites(self) -> Mapping[str, SiteRow]:
        """The activation before the cut."""
        return {f"{self.site}.read": SiteRow(("pos", "d_model"))}

    def __call__(self, site, x, memory, tape):
        """The same activation, a constant but for `delta`."""
        x = tape(f"{site}.read", x)
        cut = jax.lax.stop_gradient(x) + self.delta.astype(x.dtype)
        return jnp.where(self.here, cut, x), memory


@eqx.filter_jit
def _mean_edges(model, dictionaries, pairs, rows, ablation, objective, size, at_once):
    mean = mean_latents(model, dictionaries, pairs) if ablation == "mean" else None
    n = len(pairs.clean)
    places = jnp.arange(-(-n // size) * size).reshape(-1, size)

    def chunk(total, places):
        some = jax.tree.map(lambda x: x[jnp.minimum(places, n - 1)], pairs)
        logits, acts = activations(model, dictionaries, some.clean)
        counts = values_of(objective, logits, some)[1] & (places < n)
        own = latents(dictionaries, acts)
        instead = patched_with(ablation, model, dictionaries, some, own, mean)
        values = _edges_of(
            model, dictionaries, some, rows, objective, acts, own, instead, counts,
            at_once,
        )  # fmt: skip
        values_sum, number = total
        return (values_sum + values, number + counts.astype(jnp.float32).sum()), None

    n_nodes = sum(len(layer) for layer, _, _ in rows.values())
    start = jnp.zeros((n_nodes, n_nodes + 1)), jnp.zeros(())
    with jax.default_matmul_precision("highest"):
        (total, number), _ = jax.lax.scan(chunk, start, places)
    return total / number


def _edges_of(
    model, dictionaries: Dictionaries, pairs, rows, objective, acts, own, instead,
    counts, at_once,
):  # fmt: skip
    """The sum over the examples that count, [source, destination and the objective]."""
    slopes = at_clean(model, dictionaries, pairs, objective)

    def cut_run(deltas):
        here = dictionaries.here
        cuts = [
            Cut(site, x, here[site])
            if in_blocks(site)
            else Cut(site, x[0], here[site][0])
            for site, x in deltas.items()
        ]
        names = [f"{site}.read" for site in deltas]
        logits, seen = capture(model, pairs.clean, names, edits=cuts)
        value, _ = values_of(objective, logits, pairs)
        by_site = {site: seen[f"{site}.read"] for site in deltas}
        read = {site: x if in_blocks(site) else x[None] for site, x in by_site.items()}
        return read, jnp.where(counts, value, 0).sum()

    zeros = jax.tree.map(jnp.zeros_like, acts)
    (read, value), pull = jax.vjp(cut_run, zeros)
    nothing = jax.tree.map(jnp.zeros_like, read)
    sources = lambda gradients: jnp.concatenate(
        [
            _sources_at(dictionaries, site, rows[site], own, instead, gradients[site])
            for site in rows
        ]
    )
    columns = []
    for site in rows:
        start = _starts(dictionaries, site, acts, slopes, counts)

        def one(row, site=site, start=start):
            layer, cotangent = start(row)
            at = nothing[site].at[layer].set(cotangent)
            (gradients,) = pull(({**nothing, site: at}, jnp.zeros_like(value)))
            return sources(gradients)

        columns.append(jax.lax.map(one, rows[site], batch_size=at_once))
    (gradients,) = pull((nothing, jnp.ones_like(value)))
    columns.append(sources(gradients)[None])
    return jnp.concatenate(columns).T


def _starts(dictionaries, site, acts, slopes, counts):
    """(destination) -> its layer, and ∂m/∂d ∂d/∂x summed over its positions."""
    stack, x, slope = dictionaries.by_site[site], acts[site], slopes[site]
    n_features = dictionaries.d_sae(site)

    def start(row):
        layer, feature, pos = row
        d = jax.tree.map(lambda leaf: leaf[layer], stack)
        split = lambda x: (d.encode(x), x - d(x))
        _, pull = jax.vjp(split, x[layer])
        here = (pos < 0) | (jnp.arange(x.shape[2]) == pos)
        here = (here[None] & counts[:, None])[..., None]
        g = jnp.where(here, slope[layer], 0)
        is_error = feature == n_features
        one = jax.nn.one_hot(feature, n_features)
        along = (g @ directions(d).T) * one[None, None]
        (cotangent,) = pull((along, jnp.where(is_error, g, 0)))
        return layer, cotangent

    return start


def _sources_at(dictionaries, site, rows, own, instead, gradients):
    """What patching each node of a site does, summed over examples and positions."""
    layer, feature, pos = rows
    stack = dictionaries.by_site[site]
    ways = eqx.filter_vmap(directions)(stack)
    n_features = dictionaries.d_sae(site)
    which = jnp.minimum(feature, n_features - 1)
    features = instead.features[site] - own.features[site]
    errors = instead.errors[site] - own.errors[site]

    def one(row):
        layer, feature, which, pos = row
        g = gradients[layer]
        of_feature = features[layer, ..., which] * (g @ ways[layer, which])
        both = jnp.where(feature == n_features, (errors[layer] * g).sum(-1), of_feature)
        here = (pos < 0) | (jnp.arange(both.shape[-1]) == pos)
        return jnp.where(here[None], both, 0).sum()

    return jax.vmap(one)((layer, feature, which, pos))
