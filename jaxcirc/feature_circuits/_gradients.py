"""Gradients of an objective at the activations of all places, along a line or not."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import Objective
from ..circuits import quadrature, values_of
from ..models import AbstractIntervention, Add, Replace, Transformer, capture, in_blocks
from ..tasks import Pairs
from ._dictionaries import Dictionaries

Rule = Literal["left", "midpoint", "trapezoid"]
Sites = dict[str, Float[Array, "layer example pos d_model"]]


def at_clean(
    model: Transformer,
    dictionaries: Dictionaries,
    pairs: Pairs,
    objective: Objective,
    edits: Sequence[AbstractIntervention] = (),
) -> Sites:
    """Gradients at all places from one forward and one backward pass.

    A dictionary splits an activation into parts that add up to it, so what the model
    does with a feature is the gradient at the activation along the feature's direction:
    the dictionaries need not run for it.

    Args:
        model: The model.
        dictionaries: At whose places.
        pairs: What is run.
        objective: What is differentiated, summed over pairs.
        edits: Interventions that make the run another one than the clean one.
    """

    def total(deltas):
        adds = [Add(site, x if in_blocks(site) else x[0]) for site, x in deltas.items()]
        logits = model(pairs.clean, edits=(*edits, *adds))
        values, counts = values_of(objective, logits, pairs)
        return jnp.where(counts, values, 0).sum()

    return jax.grad(total)(_zeros(model, dictionaries, pairs))


def along_features(
    model: Transformer,
    pairs: Pairs,
    objective: Objective,
    change: Sites,
    steps: int,
    rule: Rule,
) -> Sites:
    """Gradients averaged between the clean activation of a place and the patched one.

    One place at a time, whatever is before it being clean and what is behind it
    computed anew: `steps` forward and backward passes for each place.

    Args:
        model: The model.
        pairs: What is run.
        objective: What is differentiated.
        change: What patching all nodes of a place adds to its activation.
        steps: Intervals of the line.
        rule: Where an interval is looked at; 0 is the clean end.
    """
    nodes, weights = quadrature(steps, rule)
    found = {}
    for site, whole in change.items():
        inside = in_blocks(site)

        def place(row, site=site, whole=whole, inside=inside):
            def step(total, node):
                share, weight = node
                delta = share * whole[row]
                slope = jax.grad(_value_of(model, pairs, objective, site, row, inside))
                return total + weight * slope(delta), None

            first = jnp.zeros_like(whole[0])
            return jax.lax.scan(step, first, (nodes, weights))[0]

        found[site] = jax.lax.map(place, jnp.arange(len(whole)))
    return found


def along_inputs(
    model: Transformer,
    dictionaries: Dictionaries,
    pairs: Pairs,
    objective: Objective,
    steps: int,
    rule: Rule,
) -> Sites:
    """Gradients averaged between the corrupted and the clean embeddings.

    All places from the same `steps` forward and backward passes.

    Args:
        model: The model.
        dictionaries: At whose places.
        pairs: Clean and corrupted sequences.
        objective: What is differentiated.
        steps: Intervals of the line.
        rule: Where an interval is looked at; 0 is the corrupted end.
    """
    embedded = lambda tokens: capture(model, tokens, ("embed",))[1]["embed"]
    start, end = embedded(pairs.corrupted), embedded(pairs.clean)

    def step(total, node):
        share, weight = node
        line = Replace("embed", start + share * (end - start), jnp.ones((1, 1), bool))
        found = at_clean(model, dictionaries, pairs, objective, (line,))
        return jax.tree.map(lambda a, b: a + weight * b, total, found), None

    first = _zeros(model, dictionaries, pairs)
    return jax.lax.scan(step, first, quadrature(steps, rule))[0]


def _value_of(model, pairs, objective, site, row, inside):
    """The objective as a function of what is added to one place."""

    def value(delta):
        if inside:
            zeros = jnp.zeros((model.config.n_layers, *delta.shape), delta.dtype)
            delta = zeros.at[row].set(delta)
        logits = model(pairs.clean, edits=(Add(site, delta),))
        values, counts = values_of(objective, logits, pairs)
        return jnp.where(counts, values, 0).sum()

    return value


def _zeros(model, dictionaries, pairs) -> Sites:
    shape = (*pairs.clean.shape, model.config.d_model)
    rows = {site: len(x) for site, x in dictionaries.here.items()}
    return {site: jnp.zeros((n, *shape)) for site, n in rows.items()}
