"""Continuing a text, one token at a time, with the keys and values kept."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, Integer, Key

from .._core import seed_key
from ._constants import Past, layer_constants
from ._tape import Tape
from ._tokens import checked_tokens
from ._transformer import Transformer, embed_tokens, unembed


def generate(
    model: Transformer,
    prompt: Integer[Array | np.ndarray, "*batch pos"],
    n_new: int,
    *,
    temperature: float = 0.0,
    key: Key[Array, ""] | None = None,
) -> Int[Array, "*batch pos_and_new"]:
    """The prompt and `n_new` tokens after it, each drawn from what went before.

    Each token is one pass over one position: keys and values of the others are kept.
    The whole loop is one compiled program, for each shape of the prompt, `n_new` and
    `temperature`. A draw depends on the key and on its position alone, so a longer text
    begins as a shorter one does.

    Args:
        model: A causal model.
        prompt: Ids in [0, d_vocab), at least one position.
        n_new: Tokens to add.
        temperature: Logits are divided by it before a draw; 0 takes the likeliest.
        key: Random key of the draws, if there are any.

    Returns:
        Ids, the prompt's among them.

    Raises:
        ValueError: the model is not causal, answers with other tokens than it reads, is
            too short for the text, a temperature is below zero or comes without key, or
            the prompt is no array of ids in [0, d_vocab).

    Example:
        >>> import equinox as eqx, jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> three = jnp.zeros((4, 5)).at[:, 3].set(1)
        >>> says_3 = eqx.tree_at(  # after a norm that always gives ones
        ...     lambda m: (m.W_U, m.ln_final.weight, m.ln_final.bias),
        ...     model,
        ...     (three, jnp.zeros(4), jnp.ones(4)),
        ... )
        >>> generate(says_3, jnp.array([0, 1]), 3).tolist()
        [0, 1, 3, 3, 3]
    """
    c = model.config
    prompt = checked_tokens(prompt, c.d_vocab, who="generate")
    total = prompt.shape[-1] + n_new
    if not c.causal or c.sizes.d_vocab_out != c.d_vocab:
        raise ValueError(
            "generate: the model must be causal and answer with tokens that it reads; "
            f"got causal={c.causal}, {c.d_vocab} tokens and {c.sizes.d_vocab_out} "
            "answers."
        )
    if prompt.shape[-1] < 1 or n_new < 1:
        raise ValueError(
            f"generate: needs a token to start from and one to add; got "
            f"{prompt.shape[-1]} and {n_new}."
        )
    if c.positions == "learned" and total - 1 > c.n_ctx:
        raise ValueError(
            f"generate: {prompt.shape[-1]} + {n_new} tokens do not fit into `n_ctx` = "
            f"{c.n_ctx} learned positions; ask for {c.n_ctx + 1 - prompt.shape[-1]}."
        )
    # Asked so that NaN is refused too.
    if not temperature >= 0:
        raise ValueError(
            f"generate: `temperature` must be at least 0; got {temperature}. 0 takes "
            "the likeliest token, and 1 draws tokens as the model predicts them."
        )
    if temperature > 0 and key is None:
        raise ValueError("generate: give a `key`, or temperature 0.")
    key = seed_key(0) if key is None else key
    return _generate(model, prompt, n_new, temperature, key)


@eqx.filter_jit
def _generate(
    model: Transformer,
    prompt: Array,
    n_new: int,
    temperature: float,
    key: Key[Array, ""],
) -> Array:
    c, n_prompt = model.config, prompt.shape[-1]
    total = n_prompt + n_new
    shape = (c.n_layers, *prompt.shape[:-1], total, c.sizes.n_kv_heads, c.sizes.d_head)
    # All rooms at once: arrays that grew would be another program for each token.
    empty = jnp.zeros(shape, model.W_E.dtype)

    def pick(logits: Array, place: Array) -> Array:
        if temperature == 0:
            return logits.argmax(axis=-1).astype(prompt.dtype)
        # By place, not by a chain of splits: how much is asked for changes no draw.
        drawn = jr.categorical(jr.fold_in(key, place), logits / temperature)
        return drawn.astype(prompt.dtype)

    def step(carry, place: Array):
        (k, v), token = carry
        logits, kept = _extend(model, token[..., None], k, v, place, total)
        token = pick(logits, place + 1)
        return (kept, token), token

    start = jnp.asarray(0)
    logits, kept = _extend(model, prompt, empty, empty, start, total)
    first = pick(logits, jnp.asarray(n_prompt))
    places = n_prompt + jnp.arange(n_new - 1)
    _, rest = jax.lax.scan(step, (kept, first), places)
    rest = jnp.moveaxis(rest, 0, -1)
    return jnp.concatenate([prompt, first[..., None], rest], axis=-1)


def _extend(
    model: Transformer, tokens: Array, k: Array, v: Array, start: Array, total: int
) -> tuple[Float[Array, "*batch d_vocab"], tuple[Array, Array]]:
    """Logits after the last new token, and all keys and values so far."""
    c, n_new = model.config, tokens.shape[-1]
    x = embed_tokens(model, tokens)
    here = lambda table, axis: jax.lax.dynamic_slice_in_dim(table, start, n_new, axis)
    if model.W_pos is not None:
        x = x + jnp.broadcast_to(here(model.W_pos, 0), x.shape)
    shared, varying = layer_constants(c, total)
    # The tables' second axis from the right is the position.
    turn = lambda t: None if t is None else here(t, t.ndim - 2)
    shared, varying = (
        part._replace(cos=turn(part.cos), sin=turn(part.sin))
        for part in (shared, varying)
    )

    def layer(x, stacked):
        block, own, k, v = stacked
        constants = eqx.combine(own, shared)._replace(past=Past(k, v, start))
        tape = Tape()
        x = block(x, constants, tape)
        return x, (tape.recorded["past.k"], tape.recorded["past.v"])

    x, kept = jax.lax.scan(layer, x, (model.blocks, varying, k, v))
    return unembed(model, x[..., -1, :]), kept
