"""Chosen inputs of a model that read a stream of another run."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree, Shaped

from .._core import unknown
from ..models import (
    AbstractIntervention,
    Graph,
    Tape,
    Transformer,
    TransformerConfig,
    graph as graph_of,
)


class Streams(eqx.Module):
    """The residual stream at every place where something reads it.

    Args:
        resid_pre: What heads read, layer by layer.
        mlp_in: What MLPs read; None without.
        logits_in: What the logits read.
    """

    resid_pre: Float[Array, "layer *batch pos d_model"]
    mlp_in: Float[Array, "layer *batch pos d_model"] | None
    logits_in: Float[Array, "*batch pos d_model"]


class Receivers(eqx.Module):
    """Which inputs of a model are meant, by what kind of input it is.

    Args:
        q: Query inputs of heads.
        k: Key inputs, of key heads.
        v: Value inputs, of key heads.
        mlp: Inputs of MLPs.
        logits: Whether the logits are among them.
        mask: All of them, in the order of the graph.
        only_logits: Whether nothing else can be, which is known while programs are
            compiled: then no layer has to run again.
    """

    q: Bool[Array, "layer head"]
    k: Bool[Array, "layer kv_head"]
    v: Bool[Array, "layer kv_head"]
    mlp: Bool[Array, " layer"]
    logits: Bool[Array, ""]
    mask: Bool[Array, " destination"]
    only_logits: bool = eqx.field(static=True)


def receivers_of(
    config: TransformerConfig, given: Sequence[str] | Shaped[Array, " destination"]
) -> Receivers:
    """Receivers given by their names in `graph(config)`, or as a mask over them.

    Args:
        config: Of the model.
        given: Names of destinations, such as `L2H1.q`, or a mask.

    Raises:
        ValueError: the model has no such destination, none is given, or the mask has
            another length.
    """
    graph, n, k = graph_of(config), config.n_heads, config.sizes.n_kv_heads
    only = False
    if isinstance(given, (Array, np.ndarray)):
        mask = jnp.asarray(given).astype(bool)
        if mask.shape != (len(graph.destinations),):
            raise ValueError(
                f"path_patch: a mask of receivers has one entry for each of the "
                f"{len(graph.destinations)} destinations of the model's graph; got "
                f"shape {mask.shape}."
            )
    else:
        mask = jnp.asarray(_named(graph, given))
        only = tuple(given) == ("logits",)
    # Destinations stand layer by layer: queries, keys, values, MLP; the logits last.
    layers = mask[:-1].reshape(config.n_layers, -1)
    mlp = jnp.zeros(config.n_layers, bool)
    mlp = layers[:, n + 2 * k] if config.sizes.d_mlp else mlp
    values = layers[:, n + k : n + 2 * k]
    keys = layers[:, n : n + k]
    return Receivers(layers[:, :n], keys, values, mlp, mask[-1], mask, only)


def _named(graph: Graph, names: Sequence[str]) -> Bool[np.ndarray, " destination"]:
    """A mask of destinations by their names.

    Raises:
        ValueError: there are none, or one has no such name.
    """
    if isinstance(names, str) or not len(names):
        raise ValueError(
            "path_patch: `receivers` is a list of at least one destination, such as "
            f"['L1H0.q'] or ['logits']; got {names!r}."
        )
    for name in names:
        if name not in graph.destinations:
            raise ValueError(
                f"path_patch: {unknown('receiver', name, graph.destinations)}"
            )
    return np.isin(graph.destinations, list(names))


class Receive(AbstractIntervention):
    """Receivers read given streams, and not what this run has written so far.

    A receiver's input is held, so what one receiver makes of it changes no other one.

    Args:
        model: The model that is to run.
        receivers: Whose inputs are replaced.
        streams: What they read.
        where: At which positions.
    """

    resid_pre: Float[Array, "layer *batch pos d_model"]
    mlp_in: Float[Array, "layer *batch pos d_model"] | None
    logits_in: Float[Array, "*batch pos d_model"]
    where: Bool[Array, "*batch pos"]
    q: Bool[Array, "layer head"]
    k: Bool[Array, "layer kv_head"]
    v: Bool[Array, "layer kv_head"]
    mlp: Bool[Array, " layer"]
    logits: Bool[Array, ""]
    attn: PyTree
    norm: PyTree

    def __init__(
        self,
        model: Transformer,
        receivers: Receivers,
        streams: Streams,
        where: Bool[Array, "*batch pos"],
    ):
        self.resid_pre, self.mlp_in = streams.resid_pre, streams.mlp_in
        self.logits_in, self.where = streams.logits_in, where
        self.q, self.k, self.v = receivers.q, receivers.k, receivers.v
        self.mlp, self.logits = receivers.mlp, receivers.logits
        self.attn, self.norm = model.blocks.attn, model.blocks.ln1

    @property
    def sites(self) -> tuple[str, ...]:
        """Where destinations read, behind projections for heads."""
        mlp = () if self.mlp_in is None else ("mlp.in",)
        return ("attn.q", "attn.k", "attn.v", *mlp, "logits.in")

    @property
    def layered(self) -> tuple[str, ...]:
        """Streams, masks and weights of the layers."""
        return ("resid_pre", "mlp_in", "q", "k", "v", "mlp", "attn", "norm")

    def __call__(self, site: str, x: Array, memory: None, tape: Tape):
        """The receiver's input made of the given stream; all else as it was."""
        del tape
        if site in ("mlp.in", "logits.in"):
            given, read = (
                (self.mlp_in, self.mlp)
                if site == "mlp.in"
                else (self.logits_in, self.logits)
            )
            assert given is not None
            where = self.where[..., None] & read
            return jnp.where(where, given.astype(x.dtype), x), memory
        name = site.removeprefix("attn.")
        stream = self.resid_pre.astype(x.dtype)
        normed = stream if self.norm is None else self.norm(stream)
        heads = getattr(self, name)
        heads = jax.lax.expand_dims(heads[:, None], range(self.where.ndim))
        where = self.where[..., None, None] & heads
        # Behind the projection: an input for each head would be a stream for each.
        return jnp.where(where, self.attn.projected(name, normed), x), memory
