"""The loss of top-k where few of many latents are on, without products of zeros."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import ratio
from ._architecture import AbstractArchitecture, Terms, mean_square
from ._dictionary import Dictionary
from ._sparse import few_written, pays
from ._state import State
from ._topk import TopK


def loss_of(
    config: AbstractArchitecture,
    dictionary: Dictionary,
    x: Float[Array, "batch ..."],
    target: Float[Array, "batch ..."],
    state: State,
) -> tuple[Float[Array, ""], Terms]:
    """An architecture's loss, by the way that is fastest on this device.

    Args:
        config: The architecture.
        dictionary: The dictionary.
        x: Activations.
        target: What the output should be.
        state: What training keeps.
    """
    if type(config) is TopK:
        most = config.nonlinearity().most
        if pays(x.shape[0], most, config.d_sae):
            return few_loss(config, dictionary, x, target, state)
    return config.loss(dictionary, x, target, state)


def few_loss(
    config: TopK,
    dictionary: Dictionary,
    x: Float[Array, "batch ..."],
    target: Float[Array, "batch ..."],
    state: State,
) -> tuple[Float[Array, ""], Terms]:
    """What `TopK.loss` gives, value and gradient, up to rounding.

    Only the encoder's product is dense. Where several pre-activations equal the k-th,
    exactly k are kept here.

    Args:
        config: The architecture.
        dictionary: The dictionary.
        x: Activations.
        target: What the output should be.
        state: What training keeps.
    """
    chosen = config.nonlinearity()
    width = dictionary.W_enc.size // config.d_sae
    flat = x.reshape(x.shape[0], width).astype(dictionary.W_enc.dtype)
    W_enc = dictionary.W_enc.reshape(width, -1)
    W_dec = dictionary.W_dec.reshape(config.d_sae, -1)
    b_enc = dictionary.b_enc
    assert b_enc is not None  # top-k has a bias of its own nowhere else
    if dictionary.centred:
        b_enc = b_enc - (dictionary.b_dec.reshape(1, -1) @ W_enc)[0]
    # The choice has no gradient; what was chosen gets its own from the rows.
    pre = jax.lax.stop_gradient(dictionary.pre(x))
    # Slices of a selection would be compiled to a sort, so both results are held whole;
    # each by itself, since XLA ends the process where one barrier takes the pair.
    f, index = map(jax.lax.optimization_barrier, jax.lax.top_k(pre, chosen.most))
    on = (jnp.arange(chosen.most) < chosen.k)[None] & (f > 0)
    # Latents are in units of decoder rows, which the product takes back.
    rows = jax.lax.stop_gradient(dictionary.norms)[index]
    f = jnp.where(on, ratio(f, rows, empty=0.0), 0)
    y = few_written(flat, W_enc, b_enc, W_dec, index, f)
    y = y.reshape(target.shape) + jnp.broadcast_to(dictionary.b_dec, target.shape)
    if dictionary.W_skip is not None:
        y = y + flat @ dictionary.W_skip.T
    error = target.astype(y.dtype) - y
    dead = config.is_dead(state)
    auxiliary = _auxiliary(config, dictionary, x, error, dead)
    fired = jnp.zeros(config.d_sae, bool).at[index].max(on)
    spread = mean_square(target - jnp.broadcast_to(target.mean(0), target.shape))
    reconstruction = mean_square(error)
    terms = Terms(
        reconstruction,
        jnp.zeros_like(reconstruction),
        auxiliary,
        on.sum(-1).astype(f.dtype).mean(),
        ratio(mean_square(error), spread, empty=0.0),
        dead.astype(f.dtype).mean(),
        state.after(fired, x.shape[0]),
    )
    return reconstruction + auxiliary, jax.lax.stop_gradient(terms)


def _auxiliary(
    config: TopK, dictionary: Dictionary, x: Array, error: Array, dead: Array
) -> Float[Array, ""]:
    """What dead latents leave, of pre-activations with gradients of their own."""
    aux = config.aux
    if aux is None:
        return jnp.zeros((), error.dtype)
    # Pre-activations are computed again inside the branch, and again for the gradient:
    # their dense gradient would otherwise be a product of matrices at every step.
    return jax.lax.cond(
        dead.any(),
        jax.checkpoint(lambda d, x, e: aux(d, d.pre(x), e, dead)),
        lambda *_: jnp.zeros((), error.dtype),
        dictionary, x, jax.lax.stop_gradient(error),
    )  # fmt: skip
