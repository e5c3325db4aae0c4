"""Which latent of one dictionary is which of another, from their similarities."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Float, Int

# The optimal assignment of 8,192 latents takes half a minute, of 16,384 several.
LARGEST = 8192


@jax.jit
def cosines(a: Float[Array, "a d"], b: Float[Array, "b d"]) -> Float[Array, "a b"]:
    """The cosine between every row of `a` and every row of `b`; 0 with a row of zeros.

    Args:
        a: Directions of any length.
        b: Other directions in the same space.
    """
    return jnp.matmul(_unit(a), _unit(b).T, precision="highest")


def _unit(x: Array) -> Array:
    x = x.astype(jnp.float32)
    norm = jnp.linalg.norm(x, axis=1, keepdims=True)
    return x / jnp.where(norm == 0, 1, norm)


def assignment(
    similarity: Float[Array | np.ndarray, "a b"],
) -> Int[np.ndarray, " a"]:
    """For each row the column that it is matched with, or -1 if with none.

    No column has two rows. Up to 8,192 rows and columns this is the assignment with
    the largest sum of similarities (scipy's `linear_sum_assignment`), which leaves
    rows over only where there are fewer columns. Beyond that, a row and a column are
    matched if each is the nearest of the other, which takes no time and leaves out
    what is ambiguous; such matches have a lower count and a higher mean.

    Args:
        similarity: Of every row with every column; larger is nearer.

    Raises:
        ValueError: an entry is not a number.

    Example:
        The first row gives up the column that it is nearest to, since the sum is
        larger so.

        >>> import jax.numpy as jnp
        >>> from jaxcirc.saes import assignment
        >>> assignment(jnp.array([[0.9, 0.8], [0.9, 0.1], [0.2, 0.3]])).tolist()
        [1, 0, -1]
    """
    table = np.asarray(similarity)
    if np.isnan(table).any():
        raise ValueError(
            f"assignment: {int(np.isnan(table).sum())} of {table.size} similarities "
            "are not numbers; look for weights or activations that are NaN."
        )
    columns = np.full(table.shape[0], -1)
    if not table.size:
        return columns
    if max(table.shape) <= LARGEST:
        rows, found = scipy.optimize.linear_sum_assignment(table, maximize=True)
        columns[rows] = found
        return columns
    nearest, back = table.argmax(axis=1), table.argmax(axis=0)
    rows = np.arange(table.shape[0])
    return np.where(back[nearest] == rows, nearest, -1)
