"""Products of two thin matrices, which are never formed unless asked for."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import widened
from ..metrics import singular_values

_HIGHEST = jax.lax.Precision.HIGHEST


class Factored(eqx.Module):
    """The product left @ right, kept as its factors, for each layer and head.

    The inner size is `rank`, and there may be any leading axes. Of a head's W_V W_O the
    factors hold 2 · d_model · d_head numbers, and the product d_model².

    Args:
        left: Columns of the product are combinations of its columns.
        right: Rows of the product are combinations of its rows.

    Example:
        >>> import jax.numpy as jnp
        >>> circuit = Factored(jnp.ones((5, 2)), jnp.ones((2, 5)))
        >>> [round(s, 4) for s in circuit.singular_values().tolist()]
        [10.0, 0.0]
    """

    left: Float[Array, "*lead row rank"]
    right: Float[Array, "*lead rank column"]

    def dense(self) -> Float[Array, "*lead row column"]:
        """The product, in float32 or wider."""
        left, right = widened((self.left, self.right))
        return jnp.matmul(left, right, precision=_HIGHEST)

    def core(self) -> Float[Array, "*lead rank_left rank_right"]:
        """A small matrix with the singular values of the product.

        Its sides are those of the factors' triangles: at most `rank`.
        """
        left, right = widened((self.left, self.right))
        # An orthonormal factor changes no singular value, so only triangles are kept.
        left = jnp.linalg.qr(left, mode="r")
        right = jnp.linalg.qr(jnp.swapaxes(right, -1, -2), mode="r")
        return jnp.matmul(left, jnp.swapaxes(right, -1, -2), precision=_HIGHEST)

    def singular_values(
        self, method: Literal["svd", "gram", "auto"] = "svd"
    ) -> Float[Array, "*lead rank"]:
        """The singular values that are not zero by construction, descending."""
        core = self.core()
        lead = core.shape[:-2]
        flat = core.reshape(-1, *core.shape[-2:])
        # One after the other: decompositions are no faster in a batch on a CPU.
        found = jax.lax.map(lambda x: singular_values(x, method=method), flat)
        return found.reshape(*lead, found.shape[-1])
