"""Compiled models to train from: disturbed, with room to spare, with a new head."""

import dataclasses
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key

from jaxcirc._core import normal
from jaxcirc.models import Transformer, TransformerConfig


def disturbed(model: Transformer, scale: float, *, key: Key[Array, ""]) -> Transformer:
    """The same weights plus independent normal noise.

    A compiled program that is disturbed starts a student near a known solution. The
    noise has one size for every weight, so it means more where weights are small; with
    scale 0 the model comes back as it is, and the shapes and types stay in any case.

    Args:
        model: The weights.
        scale: Standard deviation of the noise, in the units of the weights.
        key: The noise is drawn from it, with a part for each array.

    Returns:
        A model of the same config.

    Example:
        >>> import jax.numpy as jnp
        >>> import jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> from tracr_bridge.rasp import disturbed
        >>> config = TransformerConfig(
        ...     d_vocab=50, n_ctx=4, n_layers=1, d_model=40, n_heads=1
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> moved = disturbed(model, 0.1, key=jr.key(1)).W_E - model.W_E
        >>> round(float(jnp.std(moved)), 2)
        0.1
    """
    leaves, treedef = jax.tree.flatten(model)
    # A key for each array: with one for all, arrays of one shape have one noise.
    keys = jr.split(key, len(leaves))
    noisy = [
        x + scale * jr.normal(k, x.shape, x.dtype)
        for x, k in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(treedef, noisy)


def extended(
    model: Transformer,
    *,
    heads: int = 0,
    d_mlp: int = 0,
    d_model: int = 0,
    key: Key[Array, ""],
) -> Transformer:
    """A larger model that computes the same function.

    What is new reads at random and writes nothing: the outputs of new heads and hidden
    units are zero, and so is everything that is written to new directions. Training can
    put them to use. Logits stay the same up to rounding.

    Args:
        model: What to extend; without norms, which new directions would change.
        heads: Attention heads to add to every layer.
        d_mlp: Hidden units to add to every MLP.
        d_model: Directions to add to the residual stream.
        key: The new weights are drawn from it.

    Returns:
        A model of the larger config, with the old weights in the leading places.

    Raises:
        ValueError: a negative number, norms, grouped-query attention, or hidden units
            for a model without MLPs.

    Example:
        >>> import jax.numpy as jnp
        >>> import jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> from tracr_bridge.rasp import extended
        >>> config = TransformerConfig(
        ...     d_vocab=3, n_ctx=4, n_layers=1, d_model=2, n_heads=1, norm="none"
        ... )
        >>> model, tokens = Transformer(config, key=jr.key(0)), jnp.array([0, 1, 2])
        >>> larger = extended(model, heads=1, d_model=3, key=jr.key(1))
        >>> larger.config.d_model, larger.config.n_heads
        (5, 2)
        >>> bool(jnp.allclose(larger(tokens), model(tokens), atol=1e-5))
        True
    """
    c = model.config
    if min(heads, d_mlp, d_model) < 0:
        raise ValueError(
            f"extended: numbers are of what is added; got heads={heads}, "
            f"d_mlp={d_mlp}, d_model={d_model}."
        )
    require_plain(model, "extended")
    if d_mlp and not c.sizes.d_mlp:
        raise ValueError("extended: the model has no MLPs to add hidden units to.")
    sizes = {
        "n_heads": c.n_heads + heads,
        # Follows the heads again; held, the new heads would share keys.
        "n_kv_heads": None,
        "d_mlp": c.sizes.d_mlp + d_mlp,
        "d_model": c.d_model + d_model,
    }
    larger = Transformer(_with_sizes(c, sizes), key=key)
    writers = ("W_E", "W_pos", "W_O", "W_out")

    def leaf(path, new, old):
        name = path[-1].name
        inside = tuple(slice(0, n) for n in old.shape)
        # What writes is zero where it is new; what reads keeps its random numbers, but
        # old readers must not see new directions differently: those hold nothing.
        base = jnp.zeros_like(new) if name in writers or name.startswith("b_") else new
        return base.at[inside].set(old)

    return jax.tree_util.tree_map_with_path(leaf, larger, in_config(model, **sizes))


def require_plain(model: Transformer, who: str) -> None:
    """Refuse what compiled programs never have.

    Raises:
        ValueError: norms, which depend on every direction, or shared key heads.
    """
    c = model.config
    if c.norm != "none" or c.sizes.n_kv_heads != c.n_heads:
        raise ValueError(
            f"{who}: takes models without norms and without shared key heads, as "
            f"compiled programs are; got norm={c.norm!r} and "
            f"{c.sizes.n_kv_heads} key heads for {c.n_heads} heads."
        )


def with_head(
    model: Transformer, n_classes: int, *, key: Key[Array, ""]
) -> Transformer:
    """The same body with a fresh linear head, to be learnt.

    Freeze the body while training (`freeze=("W_E", "W_pos", "blocks")`) for a probe of
    what is in the residual stream; train everything for a classifier that starts from
    the program. The head has one output per class, and a bias of zeros if the model has
    one.

    Args:
        model: The body.
        n_classes: Outputs of the head; at least two.
        key: The head is drawn from it, normal with standard deviation 1 /
            sqrt(d_model).

    Returns:
        The model with the head in place of its unembedding.

    Raises:
        ValueError: there are fewer than two classes, or the unembedding is the
            embedding.

    Example:
        >>> import jax.numpy as jnp
        >>> import jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> from tracr_bridge.rasp import with_head
        >>> config = TransformerConfig(
        ...     d_vocab=3, n_ctx=4, n_layers=1, d_model=2, n_heads=1, norm="none"
        ... )
        >>> probe = with_head(Transformer(config, key=jr.key(0)), 7, key=jr.key(1))
        >>> probe.W_U.shape
        (2, 7)
    """
    if n_classes < 2 or model.W_U is None:
        raise ValueError(
            "with_head: takes at least two classes and a model with an unembedding of "
            f"its own; got {n_classes}, tied: {model.W_U is None}."
        )
    d_model = model.config.d_model
    return with_unembedding(model, normal(key, (d_model, n_classes)) / d_model**0.5)


def with_unembedding(
    model: Transformer, W_U: Float[Array, "d_model d_out"]
) -> Transformer:
    """The same model with another unembedding, of any number of outputs.

    A bias that the old unembedding has is replaced by zeros: it is of other outputs.
    """
    if model.b_U is not None:
        model = eqx.tree_at(lambda m: m.b_U, model, jnp.zeros(W_U.shape[1]))
    return in_config(eqx.tree_at(lambda m: m.W_U, model, W_U), d_vocab_out=W_U.shape[1])


def in_config(model: Transformer, **sizes: int | None) -> Transformer:
    """The same arrays as a model whose config has other sizes."""
    config = _with_sizes(model.config, sizes)
    like = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))
    return jax.tree.unflatten(jax.tree.structure(like), jax.tree.leaves(model))


def _with_sizes(
    config: TransformerConfig, sizes: Mapping[str, int | None]
) -> TransformerConfig:
    """The config with some sizes changed and no other following them.

    The arrays are there already: heads stay as wide as they are when the stream is not.
    """
    held = config.sizes._asdict()
    del held["rotary_dim"]  # It follows from the width of heads, which is held.
    return dataclasses.replace(config, **{**held, **sizes})
