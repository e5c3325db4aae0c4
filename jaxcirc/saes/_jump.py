"""Estimates of gradients through a jump, after Rajamanoharan et al. (2024)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Rows = Float[Array, "batch d_sae"]
Threshold = Float[Array, " d_sae"]
Bandwidth = float | Float[Array, ""]


def not_negative(threshold: Threshold) -> Threshold:
    """The threshold, or 0 where it is below, with a gradient as if it were not cut.

    A gradient of 0 below 0 would hold a latent there forever.
    """
    return threshold + jax.lax.stop_gradient(jax.nn.relu(threshold) - threshold)


def jump(pre: Rows, threshold: Threshold, bandwidth: Bandwidth, to_input: bool) -> Rows:
    """The pre-activations above their thresholds; d/dθ = -(θ/ε) 1[|pre - θ| < ε/2].

    Args:
        pre: Pre-activations.
        threshold: θ of each latent.
        bandwidth: ε, in the units of pre-activations.
        to_input: Whether pre gets the negative of that, too.
    """
    over = jax.lax.stop_gradient(jnp.broadcast_to(threshold, pre.shape))
    f = jnp.where(pre > over, pre, 0)
    return f + _estimated(pre, threshold, bandwidth, to_input, over)


def step(pre: Rows, threshold: Threshold, bandwidth: Bandwidth, to_input: bool) -> Rows:
    """1 above the threshold and 0 elsewhere; d/dθ = -(1/ε) 1[|pre - θ| < ε/2].

    It depends on pre-activations before the jump. What is below its threshold counts as
    what is above it, and a latent just below can be let in again.

    Args:
        pre: Pre-activations.
        threshold: θ of each latent.
        bandwidth: ε, in the units of pre-activations.
        to_input: Whether pre gets the negative of that, too.
    """
    over = jax.lax.stop_gradient(jnp.broadcast_to(threshold, pre.shape))
    open_ = (pre > over).astype(pre.dtype)
    return open_ + _estimated(pre, threshold, bandwidth, to_input, jnp.ones_like(over))


def _estimated(
    pre: Rows, threshold: Threshold, bandwidth: Bandwidth, to_input: bool, height: Rows
) -> Rows:
    """0, with the gradient of a jump of this height that is spread over the bandwidth.

    A number less itself is 0 exactly, so the value is left as it is to the last bit.
    """
    held = jax.lax.stop_gradient
    width = jnp.asarray(bandwidth, pre.dtype)
    over = jnp.broadcast_to(threshold, pre.shape)
    near = jnp.abs(held(pre - over)) < width / 2
    slope = held(jnp.where(near, height / width, 0))
    moved = held(over) - over
    if to_input:
        moved = moved + (pre - held(pre))
    return slope * moved
