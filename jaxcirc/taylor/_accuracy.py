"""How well a series predicts what a model really says, order by order."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from .._core import at_least_float32
from ..metrics import surprise
from ._series import Series
from ._status import Status


class Sums(eqx.Module):
    """What accuracy is made of: sums over positions, each with an axis for the order.

    Sums of two batches add up, so logits of all orders need never be held at once.

    Args:
        squares: Of what an order misses.
        centred: The same, less the mean over the outputs, which softmax does not see.
        change: Squares of f(1) - f(0).
        variance: Squares of the exact logits, less the mean over the outputs.
        divergence: Of KL(p ‖ p_k), in nats.
        agreement: Positions at which the likeliest answers agree.
        losses: Surprise at the targets, at positions that count.
        exact: The same of the exact logits.
        places: Positions, and those of them that count.
    """

    squares: Float[Array, " order"]
    centred: Float[Array, " order"]
    change: Float[Array, ""]
    variance: Float[Array, ""]
    divergence: Float[Array, " order"]
    agreement: Float[Array, " order"]
    losses: Float[Array, " order"]
    exact: Float[Array, ""]
    places: Float[Array, " two"]


class Accuracy(eqx.Module):
    """How well each order of a series predicts the tuned model's logits.

    Args:
        relative_error: ‖f(1) - f_k(1)‖ / ‖f(1) - f(0)‖; 1 at order 0.
        kl: Mean KL(p ‖ p_k) from the model's answers to the series', in nats.
        r2: Share of the logits' variance that the order explains, their mean at each
            position left out; below 0 where it is worse than saying nothing.
        agreement: Share of positions at which both have the same likeliest answer.
        loss: Mean surprise at the targets of each order, in nats; NaN without targets.
        exact_loss: That of the tuned model.
        explained: Share of the change of the loss, (L_k - L_0) / (L(1) - L_0).
        radius: Within which the series converges, in units of t.
        status: Whether it can be believed where it was looked at.
    """

    relative_error: Float[Array, " order"]
    kl: Float[Array, " order"]
    r2: Float[Array, " order"]
    agreement: Float[Array, " order"]
    loss: Float[Array, " order"]
    exact_loss: Float[Array, ""]
    explained: Float[Array, " order"]
    radius: float = eqx.field(static=True)
    status: Status = eqx.field(static=True)


def accuracy(
    series: Series,
    logits: Float[Array, "*batch pos d_vocab"],
    *,
    targets: Integer[Array | np.ndarray, "..."] | None = None,
    mask: Bool[Array | np.ndarray, "..."] | None = None,
    t: float = 1.0,
) -> Accuracy:
    """What each order of a series gets right, and how far the series reaches.

    Args:
        series: Of logits, as `along` gives it.
        logits: What the model really says at `t`.
        targets: Right answers, for the losses.
        mask: Positions whose losses count; all if None.
        t: Where the series is looked at.

    Returns:
        Numbers for every order from 0 on, with radius and status.

    Raises:
        ValueError: series, logits or targets have different shapes.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.taylor import Series, accuracy
        >>> base, step = jnp.array([[[1.0, 0.0]]]), jnp.array([[[-2.0, 0.0]]])
        >>> found = accuracy(Series(jnp.stack([base, step])), base + step)
        >>> found.relative_error.tolist(), found.agreement.tolist()
        ([1.0, 0.0], [0.0, 1.0])
    """
    if series.coefficients.shape[1:] != logits.shape:
        raise ValueError(
            f"taylor.accuracy: the series is of shape {series.coefficients.shape[1:]} "
            f"and the logits of {logits.shape}. Run the model on the same tokens."
        )
    for name, given in (("targets", targets), ("mask", mask)):
        if given is not None and given.shape != logits.shape[:-1]:
            raise ValueError(
                f"taylor.accuracy: `{name}` has shape {given.shape}; the logits have "
                f"one answer for each of {logits.shape[:-1]}."
            )
    # Their shapes are told in words above, and not by who checks annotations.
    targets = None if targets is None else jnp.asarray(targets)
    mask = None if mask is None else jnp.asarray(mask)
    sums = summed(series, logits, targets, mask, jnp.asarray(t))
    return of_sums(sums, series.radius(), series.status(t), losses=targets is not None)


def of_sums(sums: Sums, radius: float, status: Status, *, losses: bool) -> Accuracy:
    """Means and shares of what was summed.

    Args:
        sums: Over all positions.
        radius: Of the series.
        status: Of the series where it was looked at.
        losses: Whether there were targets.
    """
    over = lambda x, y: x / jnp.where(y > 0, y, 1)
    n, counted = sums.places
    loss = sums.losses / counted if losses else jnp.full_like(sums.losses, jnp.nan)
    exact = sums.exact / counted if losses else jnp.full_like(sums.exact, jnp.nan)
    # Where the loss does not change, a share of its change has no value.
    change = exact - loss[0]
    return Accuracy(
        relative_error=jnp.sqrt(over(sums.squares, sums.change)),
        kl=sums.divergence / n,
        r2=1 - over(sums.centred, sums.variance),
        agreement=sums.agreement / n,
        loss=loss,
        exact_loss=exact,
        explained=(loss - loss[0]) / jnp.where(change == 0, jnp.nan, change),
        radius=radius,
        status=status,
    )


@eqx.filter_jit
def summed(
    series: Series,
    logits: Float[Array, "*batch pos d_vocab"],
    targets: Integer[Array, "*batch pos"] | None,
    mask: Bool[Array, "*batch pos"] | None,
    t: Float[Array, ""],
) -> Sums:
    """The sums of one batch, one order after the other.

    Args:
        series: Of logits.
        logits: What the model really says.
        targets: Right answers, or None.
        mask: Positions that count, or None for all.
        t: Where the series is looked at.
    """
    logits = at_least_float32(logits)
    t = t.astype(logits.dtype)
    c = series.coefficients.astype(logits.dtype)
    places = logits.shape[:-1]
    log_p = jax.nn.log_softmax(logits)
    counted = jnp.ones(places, bool) if mask is None else mask
    # Without targets the losses are of no meaning, and are not told.
    targets = jnp.zeros(places, jnp.int32) if targets is None else targets
    masked = lambda x: jnp.where(counted, surprise(x, targets), 0).sum()
    middle = lambda x: x - x.mean(axis=-1, keepdims=True)

    # A running sum: one order's logits are held at a time.
    def order(value, term):
        coefficient, power = term
        value = value + power * coefficient
        missed = logits - value
        log_q = jax.nn.log_softmax(value)
        return value, (
            jnp.square(missed).sum(),
            jnp.square(middle(missed)).sum(),
            (jnp.exp(log_p) * (log_p - log_q)).sum(),
            (value.argmax(-1) == logits.argmax(-1)).sum().astype(t.dtype),
            masked(value),
        )

    powers = t ** jnp.arange(len(c), dtype=t.dtype)
    _, by_order = jax.lax.scan(order, jnp.zeros_like(logits), (c, powers))
    squares, centred, divergence, agreement, losses = by_order
    number = jnp.asarray([np.prod(places), 0.0], t.dtype)
    return Sums(
        squares=squares,
        centred=centred,
        change=jnp.square(logits - c[0]).sum(),
        variance=jnp.square(middle(logits)).sum(),
        divergence=divergence,
        agreement=agreement,
        losses=losses,
        exact=masked(logits),
        places=number.at[1].set(counted.sum().astype(t.dtype)),
    )
