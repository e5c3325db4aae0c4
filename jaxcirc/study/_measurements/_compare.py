"""Comparisons of a model with another step, every step, or its own layers."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ...components import Part
from ...metrics import MetricSpec
from ._over import dense, last_axis, over
from ._reference import Reference


def compare(
    spec: MetricSpec, part: Part, own: PyTree, target: PyTree, reference: Reference
) -> tuple[Any, tuple[str, ...]]:
    """A metric of two representations over all leading axes, and the axis that it adds.

    Args:
        spec: Of a change or a similarity.
        part: The component, whose axes lead.
        own: What the metric needs of this model.
        target: The same of the reference, with an axis of steps in front if it is
            `all`.
        reference: What is compared with.
    """
    lead = len(part.dims)

    def pair(a: PyTree, b: PyTree) -> Any:
        if spec.compare is not None:
            return spec.compare(a, b)
        return spec.fn(dense(a), dense(b))

    def with_one(other: PyTree) -> Any:
        return over(pair, lead, own, other)

    if reference == "all":
        # One at a time: all comparisons at once would hold a copy for each
        # checkpoint.
        found = jax.lax.map(with_one, target)
        return last_axis(found), ("reference_step",)
    if reference == "layers":
        # An embedding has no other layer to compare with, and is compared with
        # itself.
        if part.dims[:1] != ("layer",):
            return with_one(target), ()
        n = jax.tree.leaves(target)[0].shape[0]

        def with_layer(i: Array) -> Any:
            same = jax.tree.map(lambda x: jnp.broadcast_to(x[i][None], x.shape), target)
            return with_one(same)

        return last_axis(jax.lax.map(with_layer, jnp.arange(n))), ("other_layer",)
    return with_one(target), ()
