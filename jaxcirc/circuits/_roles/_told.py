"""When a mean over pairs is told from 0."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# So many standard errors from 0 is a behaviour, or an effect, that is told from none.
TOLD = 3.0


def mean_and_error(
    values: Float[Array, "example *rest"], counts: Bool[Array, " example"]
) -> tuple[Float[Array, "*rest"], Float[Array, "*rest"]]:
    """The mean over the examples that count, and its standard error.

    Args:
        values: Numbers of all examples.
        counts: Which of them count.
    """
    number = counts.sum().clip(1).astype(values.dtype)
    counts = counts.reshape(-1, *(1,) * (values.ndim - 1))
    mean = jnp.where(counts, values, 0).sum(axis=0) / number
    spread = jnp.where(counts, jnp.square(values - mean[None]), 0).sum(axis=0)
    # With a single example there is no error, and nothing is told.
    error = jnp.sqrt(spread / (number - 1).clip(1) / number)
    return mean, jnp.where(number > 1, error, jnp.inf)
