"""The one matrix product of the library."""

import math

from jaxtyping import Array, Float


def linear(
    x: Float[Array, "*batch_and_in"],
    weight: Float[Array, "*in_and_out"],
    bias: Float[Array, "*out"] | None = None,
    *,
    contract: int = 1,
) -> Float[Array, "*batch_and_out"]:
    """`x` times `weight`, over the last `contract` axes of `x`, as one matrix product.

    All batch axes are flattened first: left unflattened, the gradient of the weight
    is a contraction over several axes, which runs at less than half the speed on a CPU.
    """
    batch, outer = x.shape[: x.ndim - contract], weight.shape[contract:]
    inner = math.prod(weight.shape[:contract])
    y = x.reshape(-1, inner) @ weight.reshape(inner, -1)
    if bias is not None:
        y = y + bias.reshape(1, -1)
    return y.reshape(*batch, *outer)
