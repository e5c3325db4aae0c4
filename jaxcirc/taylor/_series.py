"""A Taylor series that knows how far it reaches."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from .._core import at_least_float32
from ._engines import check_order
from ._radius import degree_of, radius_of
from ._status import Status, status_of


class Series(eqx.Module):
    """The Taylor series f_k(t) = Σ_j c_j t^j, with c_j = f^(j)(0) / j!.

    `series(t)` is its value, `series.truncate(k)` the series of lower order. More
    orders help only where the series converges, which on the way from a model to its
    finetune it often does not: `status()` says whether it can be believed at t = 1.

    Args:
        coefficients: c_0 to c_k, in the shape of the expanded quantity.
        kink: The first t > 0 up to 1 at which the function has a kink, such as a ReLU
            that opens; infinite if none was found or looked for.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.taylor import Series
        >>> series = Series(jnp.ones((9, 1)))  # of 1 / (1 - t)
        >>> float(series(0.5)[0]), round(series.radius(), 3)
        (1.99609375, 1.0)
        >>> series.status(0.5), series.status(2.0)
        ('inside', 'outside')
    """

    coefficients: Float[Array, "order *shape"]
    kink: Float[Array, ""] = eqx.field(default_factory=lambda: jnp.full((), jnp.inf))

    @property
    def order(self) -> int:
        """The highest power."""
        return len(self.coefficients) - 1

    @property
    def _eps(self) -> float:
        return float(jnp.finfo(self.coefficients.dtype).eps)

    def __call__(self, t: float | Float[Array, ""]) -> Float[Array, "*shape"]:
        """The value f_k(t); at 0 it is c_0, bit for bit.

        Args:
            t: Where; values outside the radius are those of the polynomial.
        """
        # Horner's rule: at 0 all but c_0 is multiplied by an exact zero.
        value = self.coefficients[-1]
        for c in self.coefficients[-2::-1]:
            value = c + jnp.asarray(t, c.dtype) * value
        return value

    def truncate(self, order: int) -> "Series":
        """The series up to a lower order.

        Args:
            order: From 0 to `self.order`.

        Raises:
            ValueError: the order is negative, or higher than that of the series.
        """
        check_order(order, who="Series.truncate")
        if order > self.order:
            raise ValueError(
                f"Series.truncate: got order {order} of a series of order "
                f"{self.order}. Expand to a higher order first."
            )
        return Series(self.coefficients[: order + 1], self.kink)

    def norms(self) -> Float[Array, " order"]:
        """The Euclidean length of each coefficient, over all of its entries."""
        # Half precision would overflow in the squares.
        flat = at_least_float32(self.coefficients).reshape(len(self.coefficients), -1)
        return jnp.sqrt(jnp.square(flat).sum(axis=1))

    def radius(self) -> float:
        """The radius of convergence in units of t, estimated from the coefficients.

        Infinite for a polynomial, NaN below order 4. Within 3% of exact values for
        norms and softmax from order 12 on; a hint at order 4. It is that of the output
        with the smallest one.

        Raises:
            ValueError: the coefficients are traced, and have no values yet.
        """
        return radius_of(self.gram(), self._eps)

    def degree(self) -> int | None:
        """The degree, where the last two coefficients are zero but for rounding.

        Raises:
            ValueError: the coefficients are traced, and have no values yet.
        """
        return degree_of(self.gram(), self._eps)

    def status(self, t: float = 1.0) -> Status:
        """Whether the series can be believed at `t`, in one word.

        Args:
            t: Where; 1 is the end of the path.

        Returns:
            `polynomial` (exact, from its degree on), `inside` or `outside` the radius,
            `kink` (another function holds there), `unmoved` (all of it is c_0), or
            `unknown` below order 4.

        Raises:
            ValueError: the coefficients are traced, and have no values yet.
        """
        gram = self.gram()
        return status_of(
            t,
            radius=radius_of(gram, self._eps),
            kink=float(self.kink),
            degree=degree_of(gram, self._eps),
            moves=bool(np.diag(gram)[1:].any()) or self.order == 0,
        )

    def gram(self) -> np.ndarray:
        """Inner products of all pairs of coefficients, which the radius is found from.

        Raises:
            ValueError: the coefficients are traced, and have no values yet.
        """
        if isinstance(self.coefficients, Tracer):
            raise ValueError(
                "Series: radius and status look at values, and these coefficients are "
                "traced. Return the series from the compiled function first."
            )
        flat = self.coefficients.reshape(len(self.coefficients), -1)
        return gram_of(flat)


def gram_of(flat: Float[Array, "order entry"]) -> np.ndarray:
    """Inner products of the rows, in float64.

    Args:
        flat: The coefficients, one a row.
    """
    return joined(*gram_parts(flat))


def gram_parts(
    flat: Float[Array, "order entry"],
) -> tuple[Float[Array, "order order"], Float[Array, " order"]]:
    """Inner products of the rows in units of their largest entries, and these units.

    Coefficients of one series differ by many powers of ten, whose squares leave the
    range of float32.

    Args:
        flat: The coefficients, one a row.
    """
    rows = at_least_float32(flat)
    largest = jnp.abs(rows).max(axis=1, initial=0)
    unit = rows / jnp.where(largest > 0, largest, 1)[:, None]
    return jnp.einsum("ie,je->ij", unit, unit, precision="highest"), largest


def joined(products: Array, largest: Array) -> np.ndarray:
    """Inner products in float64, summed over leading axes.

    Args:
        products: In units of each row's own.
        largest: The units.
    """
    units = np.asarray(largest, np.float64)
    outer = units[..., :, None] * units[..., None, :]
    whole = np.asarray(products, np.float64) * outer
    return whole.reshape(-1, *whole.shape[-2:]).sum(axis=0)
