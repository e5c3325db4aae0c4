"""How losses answer to each other over the local posterior: from draws alone."""

import numpy as np
from jaxtyping import Float

from ._diagnostics import standard_error
from ._result import LLCEstimate


def influence(
    estimate: LLCEstimate, first: str, second: str | None = None, *, correlation=True
) -> Float[np.ndarray, "first second"]:
    """Bayesian influence of examples on each other (Kreer et al. 2025).

    Correlation (in [-1, 1]), or covariance (in squared units of the loss), over the
    draws of all chains, of the losses of two examples: positive where fitting one means
    fitting the other. If example j counted (1 + δ) times among n, E[ℓ_i] would change
    by -δ n_beta / n times the covariance.

    Args:
        estimate: With observables that give a loss for each example.
        first: Name of an observable, one number per example.
        second: Another; the first itself if None.
        correlation: Divide by both standard deviations.

    Returns:
        One row for each example of `first`, one column for each of `second`.

    Raises:
        ValueError: there is no such observable.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import llc
        >>> x = jnp.array([10.0, -10.0])  # what fits one is away from the other
        >>> found = llc.estimate(
        ...     lambda w, x: (w - x) ** 2 / 2, jnp.zeros(()), x, llc.SGLD(1e-2, 10.0),
        ...     observables={"each": x}, num_draws=50, num_burnin=10, key=jr.key(0),
        ... )
        >>> round(float(influence(found, "each")[0, 1]), 1)
        -1.0
    """
    a = _flat(estimate, first)
    b = a if second is None else _flat(estimate, second)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    covariance = a.T @ b / (len(a) - 1)
    if not correlation:
        return covariance
    scales = a.std(axis=0, ddof=1)[:, None] * b.std(axis=0, ddof=1)[None, :]
    # An example whose loss never moves is correlated with nothing.
    return np.where(scales > 0, covariance / np.where(scales > 0, scales, 1), 0.0)


def susceptibilities(
    component: LLCEstimate, whole: LLCEstimate, *, dataset: str, probes: str
) -> tuple[Float[np.ndarray, " probe"], Float[np.ndarray, " probe"]]:
    """How a component of the model answers to each probe, and its standard error.

    With φ = L(w) - L(w*) of the data set, E_C over draws of the component alone and E
    over draws of all weights: χ_i = E_C[φ L] - E_C[φ ℓ_i] - E_C[φ] (E[L] - E[ℓ_i])
    (Baker et al. 2025, appendix C.4), in squared units of the loss. Both estimates come
    out of one `sweep` over masks.

    Args:
        component: Sampled under the component's mask.
        whole: Sampled without one.
        dataset: An observable whose mean over examples is L.
        probes: An observable that gives ℓ_i.

    Returns:
        χ of each probe, and its standard error over chains and draws.

    Raises:
        ValueError: there is no such observable.
    """
    L = component.observable(dataset).reshape(*component.trace.shape, -1).mean(axis=-1)
    at = float(np.mean(component.observed_at_center[dataset]))
    phi, l = L - at, component.observable(probes)
    l = l.reshape(*component.trace.shape, -1)
    whole_L = float(np.mean(_flat(whole, dataset)))
    shift = whole_L - _flat(whole, probes).mean(axis=0)
    draws = phi[..., None] * (L[..., None] - l - shift)
    # A chain that diverged is left out whole: its draws before that were on their way.
    good = np.isfinite(draws).all(axis=(1, 2))
    draws = draws[good]
    errors = np.array([standard_error(draws[..., i]) for i in range(draws.shape[-1])])
    return draws.mean(axis=(0, 1)), errors


def _flat(estimate: LLCEstimate, name: str) -> Float[np.ndarray, "draw example"]:
    draws = np.asarray(estimate.observable(name), np.float64)
    draws = draws.reshape(*estimate.trace.shape, -1)
    good = np.isfinite(draws).all(axis=(1, 2)) & np.isfinite(estimate.trace).all(axis=1)
    return draws[good].reshape(-1, draws.shape[-1])
