"""Effects of paths for some examples: every sender, one after the other."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .._core import at_least_float32
from ..models import (
    AbstractIntervention,
    Add,
    Graph,
    Replace,
    Transformer,
    capture,
    written,
)
from ._at_end import logits_of
from ._receivers import Receive, Receivers, Streams
from ._setting import Setting
from ._sources import stacked
from ._values import values_of

Edits = tuple[AbstractIntervention, ...]
# How many times a stream of all layers is held for each sender that is patched at once.
STREAMS_HELD = 3


class PathEffects(eqx.Module):
    """What changes when each sender is patched on its way into some receivers.

    Args:
        receivers: Which inputs read what the sender has changed.
        senders_at: Name of the only position at which senders are changed; None for
            all positions.
        receivers_at: Name of the only position at which receivers read the change.
        through_mlps: Whether MLPs between sender and receivers run again.
        knocked_out: Heads that write what they write in the corrupted run, in the run
            that is patched as in the one it is compared with; None for none.
        attention: Names of positions. Where there are any, the mean attention of the
            heads whose queries are receivers, from the end to each, is told too.
        at_once: How many senders are patched at a time.
    """

    receivers: Receivers
    senders_at: str | None = eqx.field(static=True, default=None)
    receivers_at: str | None = eqx.field(static=True, default=None)
    through_mlps: bool = eqx.field(static=True, default=False)
    knocked_out: Bool[Array, "layer head"] | None = None
    attention: tuple[str, ...] = eqx.field(static=True, default=())
    at_once: int = eqx.field(static=True, default=8)

    def __call__(self, setting: Setting) -> Float[Array, "..."]:
        """Changes by example, if these are told apart, source, and what is told.

        Args:
            setting: The question.
        """
        model, pairs, graph = setting.model, setting.pairs, setting.graph
        edits = knock_outs(model, pairs.corrupted, self.knocked_out)
        own = written(model, pairs.clean, edits=edits)
        differences = stacked(setting.instead, graph) - stacked(own, graph)
        at = _positions(setting, self.senders_at)
        differences = jnp.where(at[..., None], differences, 0)
        clean = _run(model, pairs.clean, edits)

        def told(streams: Streams) -> Float[Array, "*example told"]:
            return self._told(setting, streams, clean, edits)

        def effect(source):
            streams = self._arrived(setting, clean, differences[source], source, edits)
            return told(streams)

        sources = jnp.arange(len(graph.sources))
        after = jax.lax.map(effect, sources, batch_size=self.at_once)
        changes = jnp.moveaxis(after - told(clean.streams)[None], 0, -2)
        # What no receiver reads changes nothing, not even by rounding.
        reads = (jnp.asarray(graph.exists) & self.receivers.mask[None]).any(axis=1)
        reads = jax.lax.expand_dims(reads[:, None], range(changes.ndim - 2))
        changes = jnp.where(reads, changes, 0)
        return changes if self.attention else changes[..., 0]

    def _arrived(
        self, setting: Setting, clean: "_Run", difference: Array, source, edits: Edits
    ) -> Streams:
        """What receivers would read if one sender wrote something else."""
        if self.through_mlps:
            moved = _frozen_heads(setting.graph, clean, difference, source)
            tokens = setting.pairs.clean
            return _run(setting.model, tokens, (*edits, *moved)).streams
        heads, mlps = (jnp.asarray(x)[source] for x in _reached(setting.graph))
        # With all else frozen, a receiver reads its clean stream and the difference.
        streams = clean.streams
        add = lambda x, there: x + _where(there, difference).astype(x.dtype)
        mlp_in = None if streams.mlp_in is None else add(streams.mlp_in, mlps)
        logits_in = streams.logits_in + difference.astype(streams.logits_in.dtype)
        return Streams(add(streams.resid_pre, heads), mlp_in, logits_in)

    def _told(
        self, setting: Setting, streams: Streams, clean: "_Run", edits: Edits
    ) -> Float[Array, "*example told"]:
        """The objective, and attention, where receivers read the given streams."""
        model, pairs = setting.model, setting.pairs
        where = _positions(setting, self.receivers_at)
        if self.receivers.only_logits:
            own = clean.streams.logits_in
            acts = {"logits.in": jnp.where(where[..., None], streams.logits_in, own)}
        else:
            receive = Receive(model, self.receivers, streams, where)
            want = ("logits.in", *(("attn.pattern",) if self.attention else ()))
            _, acts = capture(model, pairs.clean, want, edits=(*edits, receive))
        logits = logits_of(model, acts["logits.in"], pairs, setting.objective)
        values, counts = values_of(setting.objective, logits, pairs)
        told = values[..., None]
        if self.attention:
            heads = self.receivers.q
            share = heads.astype(told.dtype) / heads.sum().clip(1).astype(told.dtype)
            seen = attention_to(acts["attn.pattern"], pairs.positions, self.attention)
            told = jnp.append(told, jnp.einsum("lh,blhn->bn", share, seen), axis=-1)
        told = jnp.where(counts[:, None], told * setting.weights[:, None], 0)
        return told if setting.each else told.sum(axis=0)


class _Run(eqx.Module):
    """What a run leaves of itself to be held in others."""

    streams: Streams
    attn_out: Float[Array, "layer *batch pos d_model"]


def _run(model: Transformer, tokens: Array, edits: Edits) -> _Run:
    """Streams at all places, and what attention writes."""
    mlp = ("mlp.in",) if model.config.sizes.d_mlp else ()
    sites = ("resid_pre", *mlp, "attn.out", "logits.in")
    _, acts = capture(model, tokens, sites, edits=edits)
    streams = Streams(acts["resid_pre"], acts.get("mlp.in"), acts["logits.in"])
    return _Run(streams, acts["attn.out"])


def knock_outs(
    model: Transformer, corrupted: Array, heads: Bool[Array, "layer head"] | None
) -> tuple[Replace, ...]:
    """Edits by which some heads write what they write in a corrupted run.

    Args:
        model: The model.
        corrupted: Tokens of that run.
        heads: Which heads; None for none.
    """
    if heads is None:
        return ()
    _, acts = capture(model, corrupted, ("attn.z",))
    return (Replace("attn.z", acts["attn.z"], heads[:, None, None, :, None]),)


def attention_to(
    pattern: Float[Array, "layer example head query_pos key_pos"],
    positions,
    names: tuple[str, ...],
) -> Float[Array, "example layer head name"]:
    """Attention of every head from the end of each example to some of its positions.

    Args:
        pattern: Attention of all heads.
        positions: Positions by name, one for each example; `end` is among them.
        names: Which of them are looked at.
    """
    keys = jnp.stack([positions[name] for name in names], axis=-1)
    example = jnp.arange(len(keys))
    # The axes that are indexed come first: example and name, then layer and head.
    seen = pattern[:, example[:, None], :, positions["end"][:, None], keys]
    return jnp.moveaxis(at_least_float32(seen), 1, -1)


def _positions(setting: Setting, name: str | None) -> Bool[Array, "example pos"]:
    """Where something happens: at one named position of each example, or at all."""
    shape = setting.pairs.clean.shape
    if name is None:
        return jnp.ones(shape, bool)
    place = setting.pairs.positions[name]
    return jnp.arange(shape[-1])[None] == place[:, None]


def _reached(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """In which layers the heads, and the MLPs, read each source: [source, layer]."""
    names = np.array(graph.destinations)
    queries = np.array([name.endswith("H0.q") for name in names])
    mlps = np.array([name.endswith(".mlp") for name in names])
    return graph.exists[:, queries], graph.exists[:, mlps]


def _where(layers: Bool[Array, " layer"], x: Array) -> Float[Array, "layer ..."]:
    """An array in some layers, and nothing in others."""
    return jnp.where(layers[:, None, None, None], x[None], 0)


def _frozen_heads(graph: Graph, clean: _Run, difference: Array, source) -> Edits:
    """A sender writes something else, and all heads what they have written."""
    names = graph.sources
    n_layers = len(clean.attn_out)
    layer = jnp.asarray(graph.source_layer)[source]
    # An embedding is in layer -1, which is nowhere here.
    here = jnp.arange(n_layers) == layer
    is_mlp = jnp.asarray([name.endswith(".mlp") for name in names])[source]
    share = lambda there: _where(there, difference).astype(clean.attn_out.dtype)
    attn = clean.attn_out + share(here & ~is_mlp)
    held = Replace("attn.out", attn, jnp.ones((n_layers, 1, 1, 1), bool))
    first = Add("embed", jnp.where(layer < 0, difference, 0))
    if clean.streams.mlp_in is None:
        return (first, held)
    return (first, held, Add("mlp.out", share(here & is_mlp)))
