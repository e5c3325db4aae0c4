"""Blocks of a long array that are spread over all of it, each row in one block."""

import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Int, Key


def spread_rows(
    n: int, block: int, number: Int[Array, ""], key: Key[Array, ""]
) -> Int[Array, " block"]:
    """Which rows the block of a number has: every n // block-th one, from some start.

    Neighbours in a file are mostly of one document, so a block takes rows that lie as
    far apart as they can. Blocks 0 to n // block - 1 share no row, and the starts come
    in an order that the key decides; later numbers are the next pass, in another order.
    The n % block rows at the end are in no block.

    Args:
        n: Length of the array.
        block: Rows of a block, at most `n`.
        number: Number of the block.
        key: Random key of the order.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> blocks = [spread_rows(6, 2, jnp.int32(i), jr.key(0)) for i in range(3)]
        >>> sorted(b.tolist() for b in blocks)
        [[0, 3], [1, 4], [2, 5]]
    """
    blocks = n // block
    starts = jr.permutation(jr.fold_in(key, number // blocks), blocks)
    start = starts[number % blocks].astype(jnp.int32)
    return start + blocks * jnp.arange(block, dtype=jnp.int32)
