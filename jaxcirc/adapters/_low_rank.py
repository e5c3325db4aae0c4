"""A change of one weight that is a product of two thin matrices."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class LowRank(eqx.Module):
    """The change scale · A B of a weight, whose rank is at most that of its factors.

    A weight maps inputs to outputs, and its axes are taken together so that it is a
    matrix: heads and their dimensions are outputs of `W_Q`, and inputs of `W_O`. With B
    zero the change is zero, whatever A is, and the first update then moves B alone.

    Args:
        A: From inputs to the directions that the change reads.
        B: From these to outputs.
        scale: What the product is multiplied by; alpha / rank in PEFT's words.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.adapters import LowRank
        >>> LowRank(jnp.array([[1.0], [2.0]]), jnp.array([[3.0, 4.0]]), 2.0).update()
        Array([[ 6.,  8.],
               [12., 16.]], dtype=float32)
    """

    A: Float[Array, "*layer in rank"]
    B: Float[Array, "*layer rank out"]
    scale: float = eqx.field(static=True, default=1.0)

    @property
    def rank(self) -> int:
        """The number of directions, which the rank of the change cannot exceed."""
        return self.A.shape[-1]

    def update(self) -> Float[Array, "*layer in out"]:
        """The change of the matrix, scale · A B."""
        product = jnp.einsum("...ir,...ro->...io", self.A, self.B, precision="highest")
        return self.scale * product


def matrix_shape(name: str, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """The inputs and outputs of a weight, or None where it is no matrix.

    Args:
        name: Path of the weight in a model, such as `blocks.attn.W_O`.
        shape: Its shape; weights in `blocks` have their layers first.

    Returns:
        How many numbers the weight reads and how many it writes; None for biases and
        for what norms multiply by.

    Example:
        >>> from jaxcirc.adapters import matrix_shape
        >>> matrix_shape("blocks.attn.W_O", (3, 4, 16, 64))
        (64, 64)
        >>> matrix_shape("blocks.attn.W_K", (3, 64, 2, 16))
        (64, 32)
    """
    last = name.rsplit(".", 1)[-1]
    if not last.startswith("W_"):
        return None
    own = shape[1:] if name.startswith("blocks.") else shape
    # `W_O` reads what all heads have put together; every other weight reads one axis.
    n_inputs = 2 if last == "W_O" else 1
    return math.prod(own[:n_inputs]), math.prod(own[n_inputs:])
