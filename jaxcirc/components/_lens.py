"""The residual stream read as logits, and logits taken apart."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._core import rows_of, widened
from ..models import Transformer, capture, unembed


def logit_lens(
    model: Transformer, tokens: Int[Array, "*batch pos"]
) -> Float[Array, "layer *batch pos d_vocab"]:
    """What each layer's residual stream would answer: unembed(ln_final(resid_post)).

    The last layer's are the model's own logits, bit for bit when run eagerly
    (nostalgebraist 2020). Earlier layers need not write in the basis in which the last
    one is read, so an answer that is not there yet may be there in another form.

    Args:
        model: The model.
        tokens: Ids, with any leading batch axes.

    Returns:
        Logits after each layer, at every position.

    Raises:
        ValueError: tokens are no array of ids in [0, d_vocab).

    Example:
        >>> import equinox as eqx, jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> tokens = jnp.array([[0, 1, 2], [3, 4, 0]])
        >>> layers = eqx.filter_jit(logit_lens)(model, tokens)
        >>> logits = eqx.filter_jit(model)(tokens)
        >>> layers.shape, bool(jnp.allclose(layers[-1], logits, atol=1e-6))
        ((1, 2, 3, 5), True)
    """
    _, acts = capture(model, tokens, ("resid_post",))
    return unembed(model, acts["resid_post"])


class LogitAttribution(NamedTuple):
    """What each part of a model adds to a logit; they sum to it.

    All are in logits, and may be of either sign.

    Args:
        embed: What token embeddings add.
        positions: What learned positions add; zeros without.
        heads: What every attention head adds.
        mlps: What every MLP adds, its output bias included; None without.
        biases: What biases add that no head or MLP owns: b_O, those of the final norm
            and of the logits.
    """

    embed: Float[Array, "*batch pos"]
    positions: Float[Array, "*batch pos"]
    heads: Float[Array, "layer head *batch pos"]
    mlps: Float[Array, "layer *batch pos"] | None
    biases: Float[Array, "*batch pos"]

    def total(self) -> Float[Array, "*batch pos"]:
        """The logit: the sum of all parts."""
        parts = self.embed + self.positions + self.heads.sum(axis=(0, 1)) + self.biases
        return parts if self.mlps is None else parts + self.mlps.sum(axis=0)


def direct_logit_attribution(
    model: Transformer,
    tokens: Int[Array, "*batch pos"],
    targets: Int[Array, "*batch pos"],
) -> LogitAttribution:
    """How much each head and MLP adds to the logits of given tokens, directly.

    The final norm's scale is held at its value, which makes logits a sum over
    everything that was written (Elhage et al. 2021, "logit attribution"). What a head
    adds by way of later ones is not in it. A constant that all logits share is, so
    compare two targets where only differences have a meaning.

    Args:
        model: The model.
        tokens: Ids, with any leading batch axes.
        targets: Whose logits, one per position.

    Returns:
        One number for each part and position, in float32 or wider.

    Raises:
        ValueError: the model normalises what sub-layers write, or caps its logits, so
            that logits are no sum over heads.

    Example:
        >>> import equinox as eqx, jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> tokens, targets = jnp.array([0, 1, 2]), jnp.array([1, 2, 3])
        >>> parts = eqx.filter_jit(direct_logit_attribution)(model, tokens, targets)
        >>> logits = eqx.filter_jit(model)(tokens)[jnp.arange(3), targets]
        >>> bool(jnp.allclose(parts.total(), logits, atol=1e-5))
        True
    """
    c = model.config
    if c.norm_position != "before" or c.logit_softcap is not None:
        raise ValueError(
            "direct_logit_attribution: logits must be a sum of what heads and MLPs "
            f"write; this model has norm_position={c.norm_position!r} and "
            f"logit_softcap={c.logit_softcap}."
        )
    wanted = ["embed", "attn.result", "resid_post"]
    wanted += ["pos_embed"] if c.positions == "learned" else []
    wanted += ["mlp.out"] if c.sizes.d_mlp else []
    wanted += ["ln_final.scale"] if model.ln_final is not None else []
    _, acts = capture(model, tokens, wanted)
    # The sums run in float32 or wider, whatever the model's type.
    model, acts = widened(model), widened(acts)
    direction = _target_directions(model, targets)
    scale = acts.get("ln_final.scale")
    final = model.ln_final

    def share(x: Float[Array, "*lead d_model"]) -> Array:
        """What a piece of the residual stream adds, through the frozen norm."""
        if final is not None:
            assert scale is not None
            x = final.held(x, _align(scale, x))
        return (x * _align(direction, x)).sum(axis=-1)

    per_head = jnp.moveaxis(acts["attn.result"], -2, 1)
    zeros = jnp.zeros(targets.shape, direction.dtype)
    # No head owns b_O, which is added once to the sum of all heads of a layer.
    biases = zeros
    if model.blocks.attn.b_O is not None:
        everywhere = jnp.zeros((*targets.shape, c.d_model), direction.dtype)
        total = model.blocks.attn.b_O.sum(axis=0)
        biases = biases + share(everywhere + _align(total, everywhere))
    # What comes behind the norm is not divided by its scale.
    if final is not None and final.bias is not None:
        biases = biases + (direction * _align(final.bias, direction)).sum(axis=-1)
    if model.b_U is not None:
        biases = biases + rows_of(model.b_U[:, None], targets)[..., 0]
    learned = c.positions == "learned"
    return LogitAttribution(
        embed=share(acts["embed"]),
        positions=share(jnp.broadcast_to(acts["pos_embed"], acts["embed"].shape))
        if learned
        else zeros,
        heads=share(per_head),
        mlps=share(acts["mlp.out"]) if c.sizes.d_mlp else None,
        biases=biases,
    )


def _target_directions(model: Transformer, targets: Array) -> Array:
    W_U = model.W_E.T if model.W_U is None else model.W_U
    return rows_of(W_U.T, targets)


def _align(x: Array, like: Array) -> Array:
    return x.reshape((1,) * (like.ndim - x.ndim) + x.shape)
