"""Attribution along a path of inputs: EAP, clean-corrupted and EAP-IG over inputs."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import at_least_float32
from ..models import Replace, Written, written
from ..tasks import Pairs
from ._contract import contract
from ._method import AbstractMethod, MethodSpec
from ._quadrature import Rule, check_rule, quadrature
from ._reads import reads
from ._setting import Setting
from ._sources import stacked


class EAP(AbstractMethod):
    """Edge attribution patching: a first-order prediction at the clean run.

        score[u, v] = (instead_u - written_u) · ∂m / ∂(input of v), at the clean run

    All edges from two forward passes, one of the corrupted sequences, and one backward
    pass (Syed et al. 2023). Where the objective is flat at the clean run,
    as a divergence from it is, this is 0 for every edge.
    """

    name: ClassVar[str] = "eap"
    clean_only: ClassVar[bool] = True

    def __call__(self, setting: Setting) -> Float[Array, "*axes source destination"]:
        """Scores of all edges.

        Args:
            setting: The question.
        """
        return along_inputs(setting, jnp.ones(1), jnp.ones(1))


class CleanCorrupted(AbstractMethod):
    """The mean of the gradients at the clean and at the corrupted inputs.

    EAP-IG by the trapezoidal rule with one step (Hanna et al. 2024).
    """

    name: ClassVar[str] = "clean_corrupted"

    @property
    def runs(self) -> int:
        """Both ends."""
        return 2

    def __call__(self, setting: Setting) -> Float[Array, "*axes source destination"]:
        """Scores of all edges.

        Args:
            setting: The question.
        """
        return along_inputs(setting, jnp.array([0.0, 1.0]), jnp.full(2, 0.5))


class EAPIGInputs(AbstractMethod):
    """Edge attribution patching with gradients integrated over the inputs.

    The gradient is averaged along the straight line from the corrupted embeddings to
    the clean ones,

        score[u, v] = (instead_u - written_u) · Σ_k w_k ∂m / ∂(input of v) at e' + α_k
        (e - e'),

    from `steps` forward and backward passes (Hanna et al. 2024, "Have faith in
    faithfulness").

    Args:
        steps: Intervals that the line is divided into.
        rule: `left` takes α = 0, 1/steps, … and never the clean end, as the method was
            published; `midpoint` and `trapezoid` are of second order, the latter with
            one more pass.

    Raises:
        ValueError: there is no step, or the rule has another name.
    """

    steps: int = eqx.field(static=True, default=5)
    rule: Rule = eqx.field(static=True, default="left")
    name: ClassVar[str] = "eap_ig_inputs"

    def __check_init__(self):
        check_rule(self.name, self.steps, self.rule)

    @property
    def runs(self) -> int:
        """One for each node of the rule."""
        return self.steps + (self.rule == "trapezoid")

    def __call__(self, setting: Setting) -> Float[Array, "*axes source destination"]:
        """Scores of all edges.

        Args:
            setting: The question.
        """
        return along_inputs(setting, *quadrature(self.steps, self.rule))


def along_inputs(
    setting: Setting, nodes: Float[Array, " run"], weights: Float[Array, " run"]
) -> Float[Array, "*axes source destination"]:
    """Scores by gradients at some points between corrupted and clean embeddings.

    All points are runs of one batch. What is put in place of the embedding is where the
    line begins, so it is the corrupted one only for the ablation `resample`.

    Args:
        setting: The question.
        nodes: Places on the line: 0 is corrupted, 1 clean.
        weights: What the gradient of each counts.
    """
    model, pairs, instead = setting.model, setting.pairs, setting.instead
    own = written(model, pairs.clean)
    # Before they are put in order, which copies them.
    less = lambda a, b: at_least_float32(a) - at_least_float32(b)
    differences = stacked(jax.tree.map(less, instead, own), setting.graph)
    start, end = _embedding(instead, own), own.embed
    share = nodes[:, None, None, None].astype(end.dtype)
    between = start[None] + share * (end - start)[None]
    between = between.reshape(-1, *end.shape[1:])
    repeated, counted = repeat(setting, weights)
    line = Replace("embed", between, jnp.ones((1, 1, 1), bool))
    at = reads(model, repeated, counted, setting.objective, edits=(line,))
    return contract(setting, differences, at)


def repeat(
    setting: Setting, weights: Float[Array, " run"]
) -> tuple[Pairs, Float[Array, " run_example"]]:
    """The pairs once for each of some runs, which are one batch, and what they count.

    Args:
        setting: The question.
        weights: What the gradient of each run counts.

    Returns:
        Pairs, all of the first run before those of the second, and their weights.
    """
    times = lambda x: jnp.tile(x, (len(weights), *(1,) * (x.ndim - 1)))
    counted = jnp.outer(weights, setting.weights).ravel()
    return jax.tree.map(times, setting.pairs), counted


def _embedding(instead: Written, own: Written) -> Array:
    """What the token embedding would have to be for the two together to be `instead`.

    Learned positions are added behind it, whatever is put in place of them.
    """
    if instead.pos_embed is None or own.pos_embed is None:
        return instead.embed
    return instead.embed + (instead.pos_embed - own.pos_embed)


_SYED = (
    "Syed et al. (2023), Attribution patching outperforms automated circuit discovery"
)
_HANNA = "Hanna et al. (2024), Have faith in faithfulness"
SPECS = (
    MethodSpec("eap", "first-order prediction at the clean run", EAP, _SYED),
    MethodSpec(
        "eap_ig_inputs", "gradients along a line of inputs", EAPIGInputs, _HANNA
    ),
    MethodSpec(
        "clean_corrupted", "mean of the gradients at both ends", CleanCorrupted, _HANNA
    ),
)
