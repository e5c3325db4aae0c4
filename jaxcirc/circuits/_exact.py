"""The truth: every edge patched for itself."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..models import written
from ._method import AbstractMethod, MethodSpec
from ._one_read import OneRead
from ._setting import Setting
from ._sources import stacked
from ._values import values_of


class Exact(AbstractMethod):
    """The change of the objective when one edge is cut, for every edge.

        score[u, v] = m(v reads instead_u in place of written_u) - m(clean)

    with all that follows from it: path patching of single edges. One forward pass for
    each edge and example, some edges at a time.

    Args:
        at_once: How many edges are patched at a time.
    """

    at_once: int = eqx.field(static=True, default=16)
    name: ClassVar[str] = "exact"

    @property
    def runs(self) -> int:
        """One for each edge that is patched at a time."""
        return self.at_once

    def __call__(self, setting: Setting) -> Float[Array, "*axes source destination"]:
        """Effects of all edges.

        Args:
            setting: The question.
        """
        model, pairs, graph = setting.model, setting.pairs, setting.graph
        own = written(model, pairs.clean)
        differences = stacked(setting.instead, graph) - stacked(own, graph)
        clean = _counted(setting, model(pairs.clean))

        def effect(source, destination, span):
            moved = differences[source]
            if setting.spans is not None:
                moved = jnp.where((setting.spans == span)[..., None], moved, 0)
            patch = OneRead(model, destination, moved)
            return _counted(setting, model(pairs.clean, edits=(patch,))) - clean

        source, destination = (jnp.asarray(row) for row in graph.edges.T)
        n_spans = max(setting.n_spans, 1)
        asked = (
            jnp.tile(source, n_spans),
            jnp.tile(destination, n_spans),
            jnp.repeat(jnp.arange(n_spans), len(source)),
        )
        effects = jax.lax.map(lambda x: effect(*x), asked, batch_size=self.at_once)
        by_span = effects.reshape(n_spans, len(source), *effects.shape[1:])
        shape = (n_spans, *graph.exists.shape, *effects.shape[1:])
        whole = jnp.zeros(shape, effects.dtype).at[:, source, destination].set(by_span)
        if setting.each:
            whole = jnp.moveaxis(whole, -1, 0)
        return whole.reshape(setting.shape)


def _counted(setting: Setting, logits: Array) -> Array:
    """The objective of each example by its weight, or their sum."""
    values, counts = values_of(setting.objective, logits, setting.pairs)
    values = jnp.where(counts, values * setting.weights, 0)
    return values if setting.each else values.sum()


SPEC = MethodSpec("exact", "every edge patched for itself", Exact, "")
