"""The empirical neural tangent kernel, and how it moves."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from .._core import at_least_float32, unit_scale


def empirical_ntk(
    fn: Callable[[PyTree, PyTree], Float[Array, "example *output"]],
    params: PyTree,
    inputs: PyTree,
) -> Float[Array, "example example"]:
    """⟨∇f(x_i), ∇f(x_j)⟩ for all pairs of examples, summed over outputs.

    Symmetric and positive semidefinite (Jacot et al. 2018); for a model that is linear
    in its parameters, x xᵀ. One gradient and one directional derivative of the whole
    batch per example and output, so memory is that of a few gradients.

    Args:
        fn: (params, inputs) -> outputs of each example, with or without an axis of
            outputs; an objective, which gives one number for each, is such a function.
        params: Arrays alone.
        inputs: A pytree with a leading example axis.

    Example:
        >>> import jax.numpy as jnp
        >>> project = lambda w, x: x @ w
        >>> x = jnp.array([[1.0, 0.0], [2.0, 1.0]])
        >>> empirical_ntk(project, jnp.zeros(2), x).tolist()
        [[1.0, 2.0], [2.0, 5.0]]
    """
    out, pull = jax.vjp(lambda p: fn(p, inputs), params)
    n, flat = out.shape[0], out.reshape(out.shape[0], -1)
    outputs = flat.shape[1]

    def column(place: Array) -> Array:
        one = jnp.zeros(flat.size, out.dtype).at[place].set(1)
        gradient = pull(one.reshape(out.shape))[0]
        moved = jax.jvp(lambda p: fn(p, inputs), (params,), (gradient,))[1]
        return at_least_float32(moved).reshape(n, outputs)[:, place % outputs]

    # One after the other: all gradients at once would be as many copies of the model.
    columns = jax.lax.map(column, jnp.arange(flat.size))
    return columns.reshape(n, outputs, n).sum(axis=1).T


@jax.jit
def kernel_velocity(
    new: Float[Array, "example example"], old: Float[Array, "example example"]
) -> Float[Array, ""]:
    """How far a kernel turned: 1 - ⟨K, K'⟩ / (|K| |K'|).

    In [0, 2], and in [0, 1] for positive semidefinite kernels: 0 while the model learns
    lazily, with features that do not change (Fort et al. 2020). Unchanged by the scale
    of either. NaN if either is zero.

    Args:
        new: The kernel of a later checkpoint.
        old: The kernel of an earlier one, of the same examples.

    Example:
        >>> import jax.numpy as jnp
        >>> float(kernel_velocity(3 * jnp.eye(4), jnp.eye(4)))
        0.0
    """
    a, b = (_scaled(kernel) for kernel in (new, old))
    lengths = jnp.sqrt(jnp.square(a).sum() * jnp.square(b).sum())
    # Rounding puts a kernel beside itself slightly below 0.
    return jnp.maximum(1 - (a * b).sum() / lengths, 0)


@jax.jit
def kernel_alignment(
    kernel: Float[Array, "example example"], targets: Float[Array, " example"]
) -> Float[Array, ""]:
    """How much of a kernel points at the targets: yᵀ K y / (|K| |y|²).

    In [0, 1] for a positive semidefinite kernel: 1 for K = y yᵀ (Cristianini et al.
    2001). NaN if either is zero.

    Args:
        kernel: Kernel of some examples.
        targets: One number for each of them, such as what is still wrong.

    Example:
        >>> import jax.numpy as jnp
        >>> y = jnp.array([1.0, -1.0])
        >>> round(float(kernel_alignment(jnp.outer(y, y), y)), 4)
        1.0
    """
    y, k = _scaled(targets), _scaled(kernel)
    return (y @ k @ y) / (jnp.sqrt(jnp.square(k).sum()) * jnp.square(y).sum())


def _scaled(x: Array) -> Array:
    # Squares of a kernel are fourth powers of gradients, which leave float32's range.
    wide = at_least_float32(x)
    return wide / unit_scale(wide)
