"""Logits of attention without MLPs as a sum over paths through its heads."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from .._core import widened
from ..models import Transformer, capture, resolved_edits
from ._models import check_finite

# Each path is a stream of the whole batch.
MOST = 100_000


class PathExpansion(eqx.Module):
    """Logits by the heads that they have come through.

    Args:
        names: Of the paths: `direct`, `L0H1`, `L0H1>L1H0`, ..., the largest first.
        logits: What each path says.
        rest: What the paths that are not listed and all biases say, so that everything
            adds up to the model's logits.
        norms: Length of every path's logits, in the order of `names`.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    logits: Float[Array, "path *batch pos d_vocab"]
    rest: Float[Array, "*batch pos d_vocab"]
    norms: Float[Array, " path"]


def paths(
    model: Transformer,
    tokens: Integer[Array | np.ndarray, "*batch pos"],
    *,
    largest: int | None = None,
) -> PathExpansion:
    """The paths from embedding to logits, each through at most one head of each layer.

    With its attention patterns A (and divisors of norms) as they are, a model without
    MLPs is linear in its embeddings, and its logits are a sum over (n_heads + 1) ^
    n_layers paths: the direct one, single heads, and virtual heads, such as A² A¹ with
    W_V¹ W_O¹ W_V² W_O². Biases belong to no path.

    Args:
        model: A model of attention alone.
        tokens: Ids.
        largest: How many paths to keep, by the length of their logits; all if None.

    Returns:
        Paths, the largest first, and the exact remainder.

    Raises:
        ValueError: the model has MLPs, norms behind attention or a soft cap on its
            logits; there are more than 100,000 paths; weights are not finite.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import taylor
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=2, d_model=4, n_heads=1, norm="none"
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> found = taylor.paths(model, jnp.array([0, 1, 2]))
        >>> sorted(found.names)
        ['L0H0', 'L0H0>L1H0', 'L1H0', 'direct']

    Reference:
        Elhage et al., "A Mathematical Framework for Transformer Circuits" (2021).
    """
    who = "taylor.paths"
    c = model.config
    _check_linear(model, who)
    number = (c.n_heads + 1) ** c.n_layers
    if number > MOST:
        raise ValueError(
            f"{who}: {c.n_layers} layers of {c.n_heads} heads have {number} paths, and "
            f"at most {MOST} are held. Take `circuits.attribute` for a larger model."
        )
    if largest is not None and largest < 1:
        raise ValueError(f"{who}: `largest` must be at least 1; got {largest}.")
    check_finite(model, "model", who=who)
    model = widened(model)
    tokens, _ = resolved_edits(model, tokens, (), who=who)
    whole, said = _expanded(model, tokens)
    lengths = jnp.sqrt(jnp.square(said).reshape(len(said), -1).sum(axis=1))
    # Names are kept on the host, so the choice has to come there too.
    order = jnp.argsort(-lengths)[: number if largest is None else largest]
    names = _names(c.n_layers, c.n_heads)
    kept = said[order]
    return PathExpansion(
        tuple(names[i] for i in np.asarray(order).tolist()),
        kept,
        whole - kept.sum(axis=0),
        lengths[order],
    )


def _check_linear(model: Transformer, who: str) -> None:
    """Refuse models that are not linear with their patterns and divisors held."""
    c = model.config
    wrong = {
        "MLPs": model.blocks.mlp is not None,
        "norms behind attention": c.norm != "none" and c.norm_position != "before",
        "a soft cap on its logits": c.logit_softcap is not None,
        "a limit on queries, keys and values": c.clip_qkv is not None,
    }
    for what, there in wrong.items():
        if there:
            raise ValueError(
                f"{who}: takes models of attention alone, and this one has {what}, "
                "through which paths do not add up. `circuits` scores edges of any."
            )


def _names(n_layers: int, n_heads: int) -> list[str]:
    """Names in the order in which `_expanded` has the paths."""
    names = [""]
    for layer in range(n_layers):
        heads = [f"L{layer}H{h}" for h in range(n_heads)]
        names += [f"{n}>{h}".strip(">") for h in heads for n in names]
    return [name or "direct" for name in names]


@eqx.filter_jit
def _expanded(model, tokens):
    """The model's logits, and those of every path."""
    c = model.config
    wanted = ["embed", "attn.pattern"]
    wanted += ["pos_embed"] if model.W_pos is not None else []
    wanted += ["ln1.scale", "ln_final.scale"] if c.norm != "none" else []
    whole, acts = capture(model, tokens, wanted)
    stream = acts["embed"]
    if "pos_embed" in acts:
        stream = stream + acts["pos_embed"]
    streams = stream[None]
    for layer in range(c.n_layers):
        attn = model.blocks.attn
        read = _held(model.blocks.ln1, streams, acts.get("ln1.scale"), layer)
        group = c.n_heads // c.sizes.n_kv_heads
        W_V = jnp.repeat(attn.W_V[layer], group, axis=1)
        values = jnp.einsum("n...km,mhd->n...khd", read, W_V, precision="highest")
        pattern = acts["attn.pattern"][layer]
        z = jnp.einsum("...hqk,n...khd->n...qhd", pattern, values, precision="highest")
        W_O = attn.W_O[layer]
        # Heads first: the streams of one head lie together, as their names do.
        out = jnp.einsum("n...qhd,hdm->hn...qm", z, W_O, precision="highest")
        streams = jnp.concatenate([streams, out.reshape(-1, *streams.shape[1:])])
    if model.ln_final is not None:
        streams = model.ln_final.held(streams, acts["ln_final.scale"][None])
    W_U = model.W_E.T if model.W_U is None else model.W_U
    return whole, jnp.einsum("n...m,mv->n...v", streams, W_U, precision="highest")


def _held(norm: Any, streams: Array, scale: Array | None, layer: int) -> Array:
    """What the streams add to the norm's output with its divisor as it is."""
    if norm is None or scale is None:
        return streams
    here = jax.tree.map(lambda x: x[layer], norm)
    return here.held(streams, scale[layer][None])
