"""Gates between 0 and 1 that are exactly 0 or 1 with some probability."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key

# As published: the interval that a gate is stretched to, and its temperature.
LEFT, RIGHT, TEMPERATURE = -0.1, 1.1, 2 / 3


def sampled(
    log_alpha: Float[Array, "*gate"], key: Key[Array, ""]
) -> Float[Array, "*gate"]:
    """Gates drawn at random, with a gradient by their parameters.

        s = σ((log u - log(1 - u) + log α) / β),  gate = clip(s (1.1 + 0.1) - 0.1, 0, 1)

    for u uniform in (0, 1) and β = 2/3 (Louizos et al. 2018).

    Args:
        log_alpha: One parameter for each gate.
        key: Random key of this draw.
    """
    noise = jr.logistic(key, log_alpha.shape, log_alpha.dtype)
    s = jax.nn.sigmoid((noise + log_alpha) / TEMPERATURE)
    return jnp.clip(s * (RIGHT - LEFT) + LEFT, 0, 1)


def probability_open(log_alpha: Float[Array, "*gate"]) -> Float[Array, "*gate"]:
    """The probability that a gate is not 0: σ(log α - β log(0.1 / 1.1)).

    Summed over gates this is the expected L0 norm.

    Args:
        log_alpha: One parameter for each gate.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(probability_open(jnp.array(0.0))), 3)
        0.832
    """
    return jax.nn.sigmoid(log_alpha - TEMPERATURE * jnp.log(-LEFT / RIGHT))
