"""The truth: each node patched for itself."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._core import Objective
from ..circuits import LOGIT_DIFFERENCE, check_pairs, values_of
from ..models import Add, Transformer, in_blocks
from ..tasks import Pairs
from ._circuit import FeatureCircuit, Node
from ._dictionaries import directions
from ._latents import (
    activations,
    check_ablation,
    latents,
    mean_latents,
    patched_with,
)


def exact_effects(
    model: Transformer,
    pairs: Pairs,
    circuit: FeatureCircuit,
    *,
    ablation: str = "resample",
    objective: Objective = LOGIT_DIFFERENCE,
    at_once: int = 8,
) -> tuple[list[Node], Float[Array, " node"]]:
    """How the objective changes when each node is patched, by patching it.

    One forward pass for each node. A node without a position is patched at all of them
    together, whose effects add up only if the model is linear there.

    Args:
        model: The model.
        pairs: Clean and corrupted sequences, with right and wrong answers.
        circuit: The nodes that are asked about, such as `top(effects, 100)`.
        ablation: What a node is patched with.
        objective: What changes.
        at_once: Nodes that are patched at a time.

    Returns:
        The nodes, and the mean effect of each over the pairs that have an answer.

    Raises:
        ValueError: pairs or the ablation do not fit.
    """
    check_pairs(pairs, who="exact_effects")
    check_ablation("exact_effects", ablation)
    nodes = circuit.nodes
    found = np.zeros(len(nodes), np.float32)
    for site in circuit.dictionaries.by_site:
        here, rows = rows_of(circuit, site, nodes)
        if here:
            found[here] = _effects_at(
                model, circuit.dictionaries, pairs, site, rows, ablation, objective,
                at_once,
            )  # fmt: skip
    return nodes, jnp.asarray(found)


def rows_of(
    circuit: FeatureCircuit, site: str, nodes: Sequence[Node]
) -> tuple[list[int], tuple[Array, Array, Array]]:
    """Which nodes are at a site, and where: layers, features and positions.

    Args:
        circuit: Whose dictionaries name the places.
        site: Own name of the site.
        nodes: Nodes of any sites.

    Returns:
        Numbers of the nodes that are there; for each of these its row along `layer`,
        its feature (`d_sae` for the error), and its position (-1 for all).
    """
    row = {p.name: p.row for p in circuit.dictionaries.places if p.site == site}
    here = [i for i, node in enumerate(nodes) if node.place in row]
    last = circuit.dictionaries.d_sae(site)
    columns = [
        (
            row[nodes[i].place],
            last if nodes[i].feature < 0 else nodes[i].feature,
            -1 if nodes[i].pos is None else nodes[i].pos,
        )
        for i in here
    ]
    layer, feature, pos = np.asarray(columns, np.int32).reshape(-1, 3).T
    return here, (jnp.asarray(layer), jnp.asarray(feature), jnp.asarray(pos))


@eqx.filter_jit
def _effects_at(model, dictionaries, pairs, site, rows, ablation, objective, at_once):
    mean = mean_latents(model, dictionaries, pairs) if ablation == "mean" else None
    logits, acts = activations(model, dictionaries, pairs.clean)
    own = latents(dictionaries, acts)
    instead = patched_with(ablation, model, dictionaries, pairs, own, mean)
    ways = eqx.filter_vmap(directions)(dictionaries.by_site[site])
    features = instead.features[site] - own.features[site]
    errors = instead.errors[site] - own.errors[site]
    before, counts = values_of(objective, logits, pairs)

    def one(row):
        layer, feature, pos = row
        is_error = feature == features.shape[-1]
        which = jnp.minimum(feature, features.shape[-1] - 1)
        written = (
            features[layer, ..., which][..., None] * ways[layer, which][None, None]
        )
        change = jnp.where(is_error, errors[layer], written)
        here = (pos < 0) | (jnp.arange(change.shape[1]) == pos)
        change = jnp.where(here[None, :, None], change, 0)
        if in_blocks(site):
            zeros = jnp.zeros((model.config.n_layers, *change.shape), change.dtype)
            change = zeros.at[layer].set(change)
        after, _ = values_of(
            objective, model(pairs.clean, edits=(Add(site, change),)), pairs
        )
        return (
            jnp.where(counts, after - before, 0).sum()
            / counts.astype(jnp.float32).sum()
        )

    with jax.default_matmul_precision("highest"):
        return jax.lax.map(one, rows, batch_size=at_once)
