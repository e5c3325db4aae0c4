"""What the gradients of single examples say about a batch."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from .._core import (
    Objective,
    inner,
    linear_combination,
    ratio,
    squared_norm,
    value_of_one,
    widened,
)


class GradientStatistics(NamedTuple):
    """Gradients of the examples of one batch, in numbers.

    Args:
        mean: The gradient of the batch: the mean over examples, in float32 or wider.
        norm: Its Euclidean norm.
        example_norm: Root of the mean squared norm of an example's gradient.
        example_cosine: Mean cosine between the gradients of two examples, in
            [-1 / (n - 1), 1]: 1 if all pull the same way. Examples whose gradient is
            zero have no direction and are left out; NaN if fewer than two have one.
        noise_scale: tr Σ / |G|², in examples: the batch size at which noise and signal
            of a gradient are equal (McCandlish et al. 2018, eq. 2.8), both estimated
            without bias. NaN where the signal is lost in the noise.
    """

    mean: PyTree
    norm: Float[Array, ""]
    example_norm: Float[Array, ""]
    example_cosine: Float[Array, ""]
    noise_scale: Float[Array, ""]


def gradient_statistics(
    objective: Objective, params: PyTree, examples: PyTree
) -> GradientStatistics:
    """Norm, agreement and noise of the gradients of a batch's examples, in one pass.

    Examples are taken one after the other, so memory is that of a few gradients. Sums
    are in float32 or wider, whatever the type of the parameters.

    Args:
        objective: (params, examples) -> the value of each example.
        params: Arrays alone; of an Equinox model its `eqx.filter(…, is_inexact_array)`.
        examples: A pytree with a leading axis of at least two examples.

    Raises:
        ValueError: fewer than two examples.

    Example:
        >>> import jax.numpy as jnp
        >>> project = lambda w, x: x @ w  # the gradient of an example is itself
        >>> found = gradient_statistics(project, jnp.zeros(2), 3 * jnp.eye(2))
        >>> round(float(found.example_norm), 4), round(float(found.example_cosine), 4)
        (3.0, 0.0)
    """
    n = len(jax.tree.leaves(examples)[0])
    if n < 2:
        raise ValueError(
            f"gradient_statistics: needs at least 2 examples to compare; got {n}."
        )
    zeros = jax.tree.map(jnp.zeros_like, widened(params))

    def step(carry, example):
        total, directions, squares = carry
        g = widened(jax.grad(lambda p: value_of_one(objective, p, example))(params))
        square = squared_norm(g)
        size = jnp.sqrt(square)
        # A gradient of zero has no direction, and leaves the sum as it is.
        unit = ratio(jnp.ones_like(size), size, empty=0)
        total = linear_combination((1.0, total), (1.0, g))
        directions = linear_combination((1.0, directions), (unit, g))
        return (total, directions, squares + square), size > 0

    start = (zeros, zeros, jnp.zeros_like(squared_norm(zeros)))
    (total, directions, squares), directed = jax.lax.scan(step, start, examples)
    mean = linear_combination((1 / n, total))
    norm_square, mean_square = squared_norm(mean), squares / n
    m = directed.sum().astype(norm_square.dtype)
    return GradientStatistics(
        mean=mean,
        norm=jnp.sqrt(norm_square),
        example_norm=jnp.sqrt(mean_square),
        # |Σ u|² = m + Σ cosines, over ordered pairs of the m unit vectors.
        example_cosine=jnp.where(
            m < 2, jnp.nan, (squared_norm(directions) - m) / (m * (m - 1))
        ),
        noise_scale=gradient_noise_scale(mean_square, norm_square, small=1, big=n),
    )


def gradient_noise_scale(
    small_square: Float[Array, ""],
    big_square: Float[Array, ""],
    *,
    small: int,
    big: int,
) -> Float[Array, ""]:
    """Tr Σ / |G|² from mean squared gradient norms at two batch sizes, in examples.

    |G|² = (B g_B - b g_b) / (B - b) and tr Σ = (g_b - g_B) / (1/b - 1/B), both unbiased
    (McCandlish et al. 2018, appendix A.1). Average the squared norms over batches
    before the ratio is taken: the mean of ratios is biased. NaN where |G|² comes out
    negative.

    Args:
        small_square: Mean squared norm of gradients of `small` examples.
        big_square: Mean squared norm of gradients of `big` examples.
        small: The smaller batch size.
        big: The larger one.

    Example:
        >>> import jax.numpy as jnp
        >>> at_1, at_100 = jnp.array(101.0), jnp.array(2.0)  # |G|² = 1, tr Σ = 100
        >>> round(float(gradient_noise_scale(at_1, at_100, small=1, big=100)), 3)
        100.0
    """
    signal = (big * big_square - small * small_square) / (big - small)
    noise = (small_square - big_square) / (1 / small - 1 / big)
    return jnp.where(signal > 0, noise / jnp.where(signal > 0, signal, 1), jnp.nan)


def gradient_cosine(a: PyTree, b: PyTree) -> Float[Array, ""]:
    """Cosine between two gradients (any pytrees of one structure), in [-1, 1].

    NaN if either is zero. Unchanged by the scale of either. Near 0 for unrelated
    gradients of many weights.

    Args:
        a: A gradient, or any other pytree of arrays.
        b: Another of the same structure.

    Example:
        >>> import jax.numpy as jnp
        >>> a = {"u": jnp.array([3.0, 0.0]), "v": jnp.array([4.0])}
        >>> b = {"u": jnp.array([1.0, 0.0]), "v": jnp.array([0.0])}
        >>> round(float(gradient_cosine(a, b)), 4)
        0.6
    """
    lengths = jnp.sqrt(squared_norm(a)) * jnp.sqrt(squared_norm(b))
    return jnp.clip(inner(a, b) / lengths, -1, 1)
