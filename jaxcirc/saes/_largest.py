"""The k-th largest of a row without sorting the row."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def at_least_kth(
    f: Float[Array, "*batch d_sae"], k: Int[Array, ""], most: int
) -> Bool[Array, "*batch d_sae"]:
    """Whether each entry is at least the k-th largest of its row.

    Args:
        f: Rows.
        k: Between 1 and `most`.
        most: Bound of k, known when the program is compiled.
    """
    fixed = jax.lax.stop_gradient(f)
    largest, _ = jax.lax.top_k(fixed, most)
    # XLA on CPUs only selects when nothing is sliced off the result: a slice of it is
    # compiled to a sort of the whole row, which takes 40 times as long.
    largest = jax.lax.optimization_barrier(largest)
    kth = jnp.take(largest, k - 1, axis=-1)[..., None]
    return fixed >= jnp.broadcast_to(kth, f.shape)
