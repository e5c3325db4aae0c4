"""Rows of a table by number, where a plain index would give another row."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def rows_of(
    table: Float[Array, "row column"], index: Int[Array, "*batch"]
) -> Float[Array, "*batch column"]:
    """Rows by number, counted from 0; NaN for a number without row.

    An index on arrays is moved to the nearest row, or counted from the end. Gradients
    of what is not there are dropped. As fast as an index, and equal to it bit for bit.

    Args:
        table: The rows.
        index: Numbers of rows; the result has a row for each.
    """
    index = jnp.where(index < 0, len(table), index)
    return table.at[index].get(mode="fill", fill_value=jnp.nan)
