"""EAP-IG over activations: gradients along a line of what a group of sources writes."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..models import Graph, written
from ._contract import contract
from ._method import AbstractMethod, MethodSpec
from ._moved import moved
from ._path import repeat
from ._quadrature import Rule, check_rule, quadrature
from ._reads import reads
from ._setting import Setting
from ._sources import stacked


class EAPIGActivations(AbstractMethod):
    """Edge attribution patching with gradients integrated over activations.

    The embedding, the heads of each layer together, and each MLP are moved one after
    the other from what is put in their place to what they write, and edges from a
    source get the gradient averaged along the line of the group that it is in,

        score[u, v] = (instead_u - written_u) · Σ_k w_k ∂m / ∂(input of v) at z' + α_k
        (z - z'),

    z all that the group of u writes and z' what is put in place. All else is computed
    from it, so a gradient is never taken far from what the model does. One pass forward
    and backward for each group and step: 1 + 2 L groups for L layers with MLPs (Hanna
    et al. 2024, "Have faith in faithfulness").

    Args:
        steps: Intervals that a line is divided into.
        rule: `left` takes α = 0, 1/steps, … and never the clean end, as the method was
            published; `midpoint` and `trapezoid` are of second order, the latter with
            one more pass.

    Raises:
        ValueError: there is no step, or no such rule.
    """

    steps: int = eqx.field(static=True, default=5)
    rule: Rule = eqx.field(static=True, default="left")
    name: ClassVar[str] = "eap_ig_activations"

    def __check_init__(self):
        check_rule(self.name, self.steps, self.rule)

    @property
    def runs(self) -> int:
        """One for each node of the rule; groups come one after the other."""
        return self.steps + (self.rule == "trapezoid")

    def __call__(self, setting: Setting) -> Float[Array, "*axes source destination"]:
        """Scores of all edges.

        Args:
            setting: The question.
        """
        model, graph = setting.model, setting.graph
        own = written(model, setting.pairs.clean)
        differences = stacked(setting.instead, graph) - stacked(own, graph)
        nodes, weights = quadrature(self.steps, self.rule)
        pairs, counted = repeat(setting, weights)
        group = jnp.asarray(_groups(graph))

        def add(total, number):
            here = group == number
            share = jnp.where(here, (1 - nodes)[:, None], 0).astype(differences.dtype)
            line = moved(model.config, graph, differences, share)
            at = reads(model, pairs, counted, setting.objective, edits=line)
            # Other sources are not on this line; theirs are 0 here.
            own = jnp.where(here[:, None, None, None], differences, 0)
            return total + contract(setting, own, at), None

        zeros = jnp.zeros(setting.shape, differences.dtype)
        numbers = jnp.arange(int(_groups(graph).max()) + 1)
        return jax.lax.scan(add, zeros, numbers)[0]


def _groups(graph: Graph) -> Int[np.ndarray, " source"]:
    """The group of each source, from 0: embeddings, then attention and MLP by layer."""
    mlp = np.array([name.endswith(".mlp") for name in graph.sources])
    place = np.where(graph.source_layer < 0, -1, 2 * graph.source_layer + mlp)
    return np.unique(place, return_inverse=True)[1].reshape(-1)


SPEC = MethodSpec(
    "eap_ig_activations",
    "gradients along lines of what groups of sources write",
    EAPIGActivations,
    "Hanna et al. (2024), Have faith in faithfulness",
)
