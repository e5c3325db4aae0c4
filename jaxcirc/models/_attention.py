"""Multi-head attention: full or windowed, causal or not, with grouped key heads."""

import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key

from .._core import at_least_float32, normal
from ._config import TransformerConfig
from ._constants import LayerConstants
from ._linear import linear
from ._norm import Norm
from ._rotary import rotate
from ._tape import Tape


class Attention(eqx.Module):
    """Attention of all heads of a layer, with what its queries, keys and values need.

    Weights map input axes to output axes (`W_Q`: d_model -> head, d_head), so that each
    is one flattened product. `q_norm` and `k_norm` normalise queries and keys where the
    config says so.
    """

    W_Q: Float[Array, "d_model head d_head"]
    W_K: Float[Array, "d_model kv_head d_head"]
    W_V: Float[Array, "d_model kv_head d_head"]
    W_O: Float[Array, "head d_head d_model"]
    b_Q: Float[Array, "head d_head"] | None
    b_K: Float[Array, "kv_head d_head"] | None
    b_V: Float[Array, "kv_head d_head"] | None
    b_O: Float[Array, " d_model"] | None
    q_norm: Norm | None
    k_norm: Norm | None
    config: TransformerConfig = eqx.field(static=True)

    def __init__(self, config: TransformerConfig, *, key: Key[Array, ""]):
        c, s = config, config.sizes
        self.config = config
        q_key, k_key, v_key, o_key = jr.split(key, 4)
        query, kv = (c.n_heads, s.d_head), (s.n_kv_heads, s.d_head)
        self.W_Q = s.init_std * normal(q_key, (c.d_model, *query))
        self.W_K = s.init_std * normal(k_key, (c.d_model, *kv))
        self.W_V = s.init_std * normal(v_key, (c.d_model, *kv))
        self.W_O = s.init_std * normal(o_key, (*query, c.d_model))
        bias = c.attention_bias
        self.b_Q = jnp.zeros(query) if bias else None
        self.b_K = jnp.zeros(kv) if bias else None
        self.b_V = jnp.zeros(kv) if bias else None
        self.b_O = jnp.zeros(c.d_model) if bias is True else None
        heads = {"none": (0, 0), "head": (1, 1), "all": (c.n_heads, s.n_kv_heads)}
        self.q_norm, self.k_norm = (
            Norm(c.norm, n * s.d_head, c.norm_eps) if n and c.norm != "none" else None
            for n in heads[c.qk_norm]
        )

    def __call__(
        self,
        x: Float[Array, "*batch pos d_model"],
        norm: Norm | None,
        constants: LayerConstants,
        tape: Tape,
    ) -> Float[Array, "*batch pos d_model"]:
        """What attention computes from the residual stream `x`."""
        q, k, v = self._project(x, norm, tape)
        q, k = self._turned(q, k, constants, tape)
        if constants.past is not None:
            past = constants.past.extended(k, v)
            tape.recorded["past.k"], tape.recorded["past.v"] = k, v = past.k, past.v
        pattern = self._pattern(q, k, constants, tape)
        z = tape("attn.z", _mix(pattern, v))
        return self._output(z, tape)

    def _project(self, x: Array, norm: Norm | None, tape: Tape):
        normed = x if norm is None else norm(x, tape, "ln1")
        out = []
        for name in ("q", "k", "v"):
            split = None
            if tape.uses(f"attn.{name}_in"):
                # One residual stream per query head is large: made on request alone.
                split = jnp.repeat(x[..., None, :], self.config.n_heads, axis=-2)
                split = tape(f"attn.{name}_in", split)
            if split is None or not tape.changes(f"attn.{name}_in"):
                y = self.projected(name, normed)
            else:
                split = split if norm is None else norm(split)
                weight, bias = self._weights(name)
                # Query heads that share a key head no longer share its input.
                weight, bias = _for_heads(split.shape[-2], weight, bias)
                y = jnp.einsum("...phm,mhd->...phd", split, weight)
                y = self._clipped(y if bias is None else y + _pad(bias, y.ndim))
            out.append(tape(f"attn.{name}", y))
        return out

    def projected(
        self, name: Literal["q", "k", "v"], normed: Float[Array, "*batch pos d_model"]
    ) -> Float[Array, "*batch pos heads d_head"]:
        """Queries, keys or values of normalised inputs: what site `attn.NAME` has.

        Args:
            name: Which of the three.
            normed: The residual stream behind the norm.
        """
        return self._clipped(linear(normed, *self._weights(name)))

    def attended(
        self,
        q: Float[Array, "*batch pos head d_head"],
        k: Float[Array, "*batch pos kv_head d_head"],
        constants: LayerConstants,
    ) -> Float[Array, "*batch head query_pos key_pos"]:
        """The pattern of queries and keys as `projected` gives them.

        Args:
            q: Queries, before they are normalised and turned.
            k: Keys, likewise.
            constants: Of this layer.
        """
        q, k = self._turned(q, k, constants, Tape())
        return self._pattern(q, k, constants, Tape())

    def _turned(self, q: Array, k: Array, constants: LayerConstants, tape: Tape):
        """Queries and keys as scores are made of them: normalised and rotated."""
        q, k = _normalise(q, self.q_norm), _normalise(k, self.k_norm)
        cos, sin = constants.cos, constants.sin
        if cos is not None and sin is not None:
            pairing = self.config.rotary_pairing
            q = tape("attn.rot_q", rotate(q, cos, sin, pairing))
            k = tape("attn.rot_k", rotate(k, cos, sin, pairing))
        return q, k

    def _weights(self, name: Literal["q", "k", "v"]) -> tuple[Array, Array | None]:
        parts = {
            "q": (self.W_Q, self.b_Q),
            "k": (self.W_K, self.b_K),
            "v": (self.W_V, self.b_V),
        }
        return parts[name]

    def _clipped(self, y: Array) -> Array:
        limit = self.config.clip_qkv
        return y if limit is None else jnp.clip(y, -limit, limit)

    def _pattern(self, q: Array, k: Array, constants: LayerConstants, tape: Tape):
        c = self.config
        scores = _scores(q, k)
        scores = at_least_float32(scores)
        scores = scores * jnp.asarray(constants.scale, scores.dtype)
        if c.attention_softcap is not None:
            scores = c.attention_softcap * jnp.tanh(scores / c.attention_softcap)
        n_query, n_key = scores.shape[-2:]
        start = 0 if constants.past is None else constants.past.start
        mask = visible(
            start + jnp.arange(n_query),
            jnp.arange(n_key),
            causal=c.causal,
            window=constants.window,
        )
        if mask is not None:
            # Finite, so that an edit that scales scores by 0 gives no NaN.
            lowest = jnp.finfo(scores.dtype).min
            scores = jnp.where(_pad(mask, scores.ndim), scores, lowest)
        scores = tape("attn.scores", scores)
        return tape("attn.pattern", jax.nn.softmax(scores, axis=-1).astype(q.dtype))

    def _output(self, z: Array, tape: Tape) -> Array:
        if not tape.uses("attn.result"):
            return linear(z, self.W_O, self.b_O, contract=2)
        # One residual-sized vector per head and position is made on request alone.
        result = jnp.einsum("...phd,hdm->...phm", z, self.W_O)
        out = tape("attn.result", result).sum(axis=-2)
        return out if self.b_O is None else out + _pad(self.b_O, out.ndim)


def visible(
    query_pos: Array, key_pos: Array, *, causal: bool, window: int | Array | None
) -> Array | None:
    """Which key position each query position may see; None when it is all of them.

    Args:
        query_pos: [query]
        key_pos: [key]
        causal: Whether nobody sees what comes later.
        window: Positions that are seen, the query's own included; None for all.

    Returns:
        Booleans [query, key].
    """
    if not causal and window is None:
        return None
    back = query_pos[:, None] - key_pos[None, :]
    mask = back >= 0 if causal else jnp.ones(back.shape, bool)
    if window is None:
        return mask
    # Windows by layer are 32 bits wide, positions 64 in double precision.
    return mask & (jnp.abs(back) < jnp.asarray(window, back.dtype))


# Both products put heads before positions first: as a batch of plain matrix products
# the gradient runs up to five times faster on a CPU than from `pos, head, d_head`. The
# queries of all heads that share a key head are the rows of one product.


def _for_heads(
    n_heads: int, weight: Array, bias: Array | None
) -> tuple[Array, Array | None]:
    """Weights of key heads, repeated for each query head that reads one."""
    group = n_heads // weight.shape[1]
    if group == 1:
        return weight, bias
    bias = None if bias is None else jnp.repeat(bias, group, axis=0)
    return jnp.repeat(weight, group, axis=1), bias


def _normalise(x: Array, norm: Norm | None) -> Array:
    """Queries or keys, normalised by head, or all heads together if it is as wide."""
    if norm is None:
        return x
    assert norm.weight is not None
    d_head, width = x.shape[-1], norm.weight.size
    together = math.prod(x.shape[-2:]) // width
    if together == 1 or width == d_head:
        rows = x.reshape(*x.shape[:-2], together, width)
        return norm(rows).reshape(x.shape)
    # Keys of every query head: those at one place of their groups are a whole set.
    sets = jnp.swapaxes(x.reshape(*x.shape[:-2], -1, together, d_head), -2, -3)
    normed = norm(sets.reshape(*sets.shape[:-2], width)).reshape(sets.shape)
    return jnp.swapaxes(normed, -2, -3).reshape(x.shape)


def _scores(q: Array, k: Array) -> Array:
    *batch, n_pos, n_heads, d_head = q.shape
    n_kv_heads = k.shape[-2]
    q, k = jnp.swapaxes(q, -2, -3), jnp.swapaxes(k, -2, -3)
    # In numbers, not -1: an empty batch has nothing to derive a size from.
    rows = n_heads // n_kv_heads * n_pos
    q = q.reshape(*batch, n_kv_heads, rows, d_head)
    scores = jnp.einsum("...qd,...kd->...qk", q, k)
    return scores.reshape(*batch, n_heads, n_pos, k.shape[-2])


def _mix(pattern: Array, v: Array) -> Array:
    *batch, n_heads, n_pos, n_key = pattern.shape
    n_kv_heads, d_head = v.shape[-2:]
    v = jnp.swapaxes(v, -2, -3)
    rows = n_heads // n_kv_heads * n_pos
    pattern = pattern.reshape(*batch, n_kv_heads, rows, n_key)
    z = jnp.einsum("...qk,...kd->...qd", pattern, v)
    return jnp.swapaxes(z.reshape(*batch, n_heads, n_pos, d_head), -2, -3)


def _pad(x: Array, ndim: int) -> Array:
    return jax.lax.expand_dims(x, range(ndim - x.ndim))
