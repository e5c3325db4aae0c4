"""How losses answer to each other over the local posterior: from draws alone."""

import numpy as np
from jaxtyping import Float

from ._diagnostics import standard_error
from ._result import LLCEstimate


def influence(
    estimate: LLCEstimate,
    first: str,
    second: str | None = None,
    *,
    correlation: bool = True,
) -> Float[np.ndarray, "first second"]:
    """Bayesian influence of examples on each other (Kreer et al. 2025).

    Correlation (in [-1, 1]), or covariance (in squared units of the loss), over the
    draws of all chains, of the losses of two examples: positive where fitting one means
    fitting the other. If example j counted (1 + δ) times among n, E[ℓ_i] would change
    by -δ n_beta / n times the covariance. Chains that diverged have no part in it.

    Args:
        estimate: An estimate with observables that give a loss for each example.
        first: Name of an observable, one number per example.
        second: Name of another; the first itself if None.
        correlation: Whether to divide by both standard deviations. An example whose
            loss never moves then has 0.

    Returns:
        The matrix between the examples of both; NaN with fewer than two draws.

    Raises:
        ValueError: there is no such observable.
    """
    a = _flat(estimate, first)
    b = a if second is None else _flat(estimate, second)
    if len(a) < 2:
        # Otherwise sums over nothing would come out as 0, which is an answer.
        return np.full((a.shape[1], b.shape[1]), np.nan)
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
    (Baker et al. 2025, appendix C.4), in squared units of the loss. A probe whose loss
    is L itself has 0. Both estimates come out of one `sweep` over masks, so that they
    share their noise. Chains that diverged have no part in either.

    Args:
        component: The estimate that was sampled under the component's mask.
        whole: The estimate that was sampled without one.
        dataset: Name of an observable whose mean over examples is L.
        probes: Name of an observable that gives ℓ_i.

    Returns:
        χ of each probe, and the standard error of each from the component's draws; NaN
        where every chain of one estimate diverged.

    Raises:
        ValueError: there is no such observable.
    """
    L = component.observable(dataset).reshape(*component.trace.shape, -1).mean(axis=-1)
    at = float(np.mean(component.observed_at_center[dataset]))
    phi, l = L - at, component.observable(probes)
    l = l.reshape(*component.trace.shape, -1)
    everywhere = _flat(whole, probes)
    good = np.isfinite(phi).all(axis=1) & np.isfinite(l).all(axis=(1, 2))
    if not len(everywhere) or not good.any():
        nothing = np.full(l.shape[-1], np.nan)
        return nothing, nothing
    shift = float(np.mean(_flat(whole, dataset))) - everywhere.mean(axis=0)
    draws = (phi[..., None] * (L[..., None] - l - shift))[good]
    errors = np.array([standard_error(draws[..., i]) for i in range(draws.shape[-1])])
    return draws.mean(axis=(0, 1)), errors


def _flat(estimate: LLCEstimate, name: str) -> Float[np.ndarray, "draw example"]:
    draws = np.asarray(estimate.observable(name), np.float64)
    draws = draws.reshape(*estimate.trace.shape, -1)
    good = np.isfinite(draws).all(axis=(1, 2)) & np.isfinite(estimate.trace).all(axis=1)
    return draws[good].reshape(-1, draws.shape[-1])
