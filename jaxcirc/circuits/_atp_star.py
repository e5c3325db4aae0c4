"""AtP*: attribution patching that sees through saturated attention and cancellation."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..models import Replace, capture, written
from ._contract import contract
from ._method import AbstractMethod, MethodSpec
from ._qk_fix import through_softmax
from ._reads import PLACES, Reads, reads
from ._setting import Setting
from ._sources import stacked


class AtPStar(AbstractMethod):
    """Attribution patching of edges with the two repairs of AtP*.

    QK fix: where a query or key reads something else, the softmax is computed anew and
    only what follows is linear,

        score[u, q] = Σ ∂m / ∂pattern · (pattern with the patched queries - pattern),

    so that attention which is saturated at the clean run, and has no gradient, still
    counts. GradDrop: the effect by way of layer l is left out of the gradient, one
    layer after the other,

        score[u, v] = mean over examples of Σ_l |score without layer l| / (L - 1),

    so that a direct effect which later layers undo still counts. The layer of v itself
    leaves nothing and is not counted; the logits are in no layer and are divided by L.
    Absolute values have no sign. With both off this is edge attribution patching. One
    backward pass for each layer. The two repairs are those of Kramár et al. (2024),
    "AtP*", which scores nodes; the rule for edges is this library's.

    Args:
        qk_fix: Whether softmaxes are computed anew.
        grad_drop: Whether layers are left out, and absolute values averaged.
    """

    qk_fix: bool = eqx.field(static=True, default=True)
    grad_drop: bool = eqx.field(static=True, default=True)
    name: ClassVar[str] = "atp_star"
    clean_only: ClassVar[bool] = True

    @property
    def signed(self) -> bool:  # pyright: ignore
        """Not where absolute values are averaged."""
        return not self.grad_drop

    @property
    def runs(self) -> int:
        """Gradients by every layer's leaving out are held, without activations."""
        # They take about a sixth of a run each; this is for models of some 20 layers.
        return 4 if self.grad_drop else 1

    def __call__(self, setting: Setting) -> Float[Array, "*axes source destination"]:
        """Scores of all edges.

        Args:
            setting: The question.
        """
        graph = setting.graph
        own = written(setting.model, setting.pairs.clean)
        differences = stacked(setting.instead, graph) - stacked(own, graph)
        places = (*PLACES, "attn.pattern") if self.qk_fix else PLACES
        if not self.grad_drop or setting.model.config.n_layers == 1:
            # Behind the only layer there is none to leave out.
            none = jnp.zeros((1, setting.model.config.n_layers), bool)
            one = self._scores(setting, differences, none, places)[0]
            return jnp.abs(one) if self.grad_drop else one
        n = setting.model.config.n_layers
        # Absolute values of each example, before any sum over examples.
        apart = setting.replace(each=True)
        dropped = self._scores(apart, differences, jnp.eye(n, dtype=bool), places)
        scores = jnp.abs(dropped).sum(axis=0)
        scores = scores if setting.each else scores.sum(axis=0)
        times = jnp.asarray(n - (graph.destination_layer < n), scores.dtype)
        return scores / jnp.broadcast_to(times, scores.shape)

    def _scores(
        self, setting: Setting, differences: Array, drops: Array, places: tuple
    ) -> Float[Array, "drop *axes source destination"]:
        """Signed scores, once for each choice of layers that are left out."""
        at = _without_layers(setting, drops, places)
        patterns = at.gradients.pop("attn.pattern", None)
        scores = jax.lax.map(lambda one: contract(setting, differences, one), at)
        if patterns is None:
            return scores
        stream = at.acts["resid_pre"][0]
        return through_softmax(setting, differences, stream, patterns, scores)


def _without_layers(setting: Setting, drops: Array, places: tuple) -> Reads:
    """Gradients that pass by what some layers write, for each choice of layers."""
    model, pairs = setting.model, setting.pairs
    sites = ["attn.out", *(["mlp.out"] if model.config.sizes.d_mlp else [])]
    _, acts = capture(model, pairs.clean, sites)

    def one(drop):
        # The same numbers as constants: the run is as it was, the gradient is not.
        where = drop[:, None, None, None]
        edits = [Replace(site, acts[site], where) for site in sites]
        weights = setting.weights
        return reads(model, pairs, weights, setting.objective, edits, places)

    return jax.lax.map(one, drops)


SPEC = MethodSpec(
    "atp_star",
    "attribution patching through softmaxes and past later layers",
    AtPStar,
    "Kramár et al. (2024), AtP*",
    linear=False,
)
