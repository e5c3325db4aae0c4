"""Information flow routes: how much of what is read is from which source."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._core import at_least_float32
from ..models import Graph, Transformer, capture, written
from ..tasks import Pairs
from ._method import AbstractMethod, MethodSpec, only_edges
from ._setting import Setting
from ._sources import stacked
from ._values import values_of


class InformationFlow(AbstractMethod):
    """The share that a source has in what a destination reads, by closeness.

        score[u, v] = c_u / Σ_u' c_u',    c_u = max(0, ‖y‖₁ - ‖z_u - y‖₁)

    for the input y of v and what u writes, z_u, summed over the sources before v and
    averaged over positions. One forward pass of the clean sequences: neither what is
    put in place nor the objective has a say, except that examples without an answer are
    left out. A share is in [0, 1] and has no sign, and all heads of a layer read alike
    (Ferrando & Voita 2024, "Information flow routes").
    """

    name: ClassVar[str] = "information_flow"
    signed: ClassVar[bool] = False

    def __call__(self, setting: Setting) -> Float[Array, "*axes source destination"]:
        """Scores of all edges.

        Args:
            setting: The question.
        """
        model, pairs, graph = setting.model, setting.pairs, setting.graph
        z = stacked(written(model, pairs.clean), graph)
        streams, logits = _streams(model, pairs)
        _, counts = values_of(setting.objective, logits, pairs)
        weights = jnp.where(counts, setting.weights, 0).astype(z.dtype)
        moment, exists = _moments(graph)

        def shares(stream_and_sources):
            y, here = stream_and_sources
            close = jnp.where(here[:, None, None], _closeness(z, y[None]), 0)
            total = close.sum(axis=0)
            share = close / jnp.where(total > 0, total, 1)[None]
            return _averaged(setting, share * weights[None, :, None])

        by_moment = jax.lax.map(shares, (streams, jnp.asarray(exists)))
        scores = jnp.moveaxis(by_moment[moment], 0, -1)
        return only_edges(graph, scores)


def _streams(
    model: Transformer, pairs: Pairs
) -> tuple[Float[Array, "moment example pos d_model"], Array]:
    """What is read, moment by moment of the forward pass, and the logits."""
    mlp = ["mlp.in"] if model.config.sizes.d_mlp else []
    logits, acts = capture(model, pairs.clean, ["resid_pre", *mlp, "logits.in"])
    last = at_least_float32(acts.pop("logits.in"))[None]
    # Attention and MLP in turns: [layer, part] to [moment].
    layers = jnp.stack([at_least_float32(x) for x in acts.values()], axis=1)
    return jnp.concatenate([layers.reshape(-1, *last.shape[1:]), last]), logits


def _moments(graph: Graph) -> tuple[Int[np.ndarray, " destination"], np.ndarray]:
    """The moment at which each destination reads, and the sources before each."""
    mlp = np.array([name.endswith(".mlp") for name in graph.destinations])
    moment = (1 + mlp.any()) * graph.destination_layer + mlp
    _, first = np.unique(moment, return_index=True)
    return moment, graph.exists[:, first].T


def _closeness(
    z: Float[Array, "source example pos d_model"],
    y: Float[Array, "one example pos d_model"],
) -> Float[Array, "source example pos"]:
    """How much nearer to `y` one is at `z` than at zero, in the sum of absolutes."""
    near = jnp.abs(y).sum(axis=-1) - jnp.abs(z - y).sum(axis=-1)
    return jnp.maximum(near, 0)


def _averaged(setting: Setting, share: Float[Array, "source example pos"]) -> Array:
    """Shares over positions: their mean, to which spans add up, by example or not."""
    share = share / share.shape[-1]
    if setting.spans is None:
        by_example = share.sum(axis=-1).T
    else:
        within = jax.nn.one_hot(setting.spans, setting.n_spans, dtype=share.dtype)
        by_example = jnp.einsum("sbp,bpn->bns", share, within)
    return by_example if setting.each else by_example.sum(axis=0)


SPEC = MethodSpec(
    "information_flow",
    "the share that each source has in what is read",
    InformationFlow,
    "Ferrando & Voita (2024), Information flow routes",
    linear=False,
)
