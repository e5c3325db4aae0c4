"""Gradients at what every destination reads, from one backward pass."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import Objective, at_least_float32
from ..models import AbstractIntervention, Add, Transformer, capture, sites
from ..tasks import Pairs
from ._values import values_of

# Where the gradient is taken. Behind the projections, queries, keys and values are a
# head's width and not a whole stream for each head: that is what makes one backward
# pass for all edges cheap.
PLACES = ("attn.q", "attn.k", "attn.v", "mlp.in", "logits.in")


class Reads(NamedTuple):
    """Gradients of an objective at what a run's destinations read.

    Args:
        gradients: By site: of queries, keys and values behind their projections, of the
            streams that the MLPs and the logits read.
        acts: Of the same run: the streams that attention reads, and where queries, keys
            and values are clipped, these.
    """

    gradients: dict[str, Float[Array, "..."]]
    acts: dict[str, Float[Array, "layer example pos ..."]]


def reads(
    model: Transformer,
    pairs: Pairs,
    weights: Float[Array, " example"],
    objective: Objective,
    edits: Sequence[AbstractIntervention] = (),
    places: Sequence[str] = PLACES,
) -> Reads:
    """One forward and one backward pass, for the weighted sum of the objective.

    Nothing is differentiated by the model's weights.

    Args:
        model: The model.
        pairs: The pairs.
        weights: What each counts in the sum.
        objective: What is differentiated.
        edits: Interventions that make the run another one than the clean one.
        places: Sites at which the gradient is taken; those that a model lacks are
            left out.
    """
    table = sites(model, pairs.clean.shape)
    zeros = {
        site: at_least_float32(jnp.zeros(table[site].shape, table[site].dtype))
        for site in places
        if site in table
    }
    clip = model.config.clip_qkv is not None
    want = ["resid_pre", *(PLACES[:3] if clip else ())]

    def total(deltas):
        adds = [Add(site, delta) for site, delta in deltas.items()]
        edited = (*edits, *adds)
        logits, acts = capture(model, pairs.clean, want, edits=edited)
        values, counts = values_of(objective, logits, pairs)
        return jnp.where(counts, values * weights, 0).sum(), acts

    return Reads(*jax.grad(total, has_aux=True)(zeros))
