"""A quadratic, exactly: at any temperature, localisation, step size and noise."""

import numpy as np
from jaxtyping import Float


def quadratic(
    curvature: Float[np.ndarray, " d"],
    *,
    n_beta: float,
    gamma: float,
    step_size: float = 0.0,
    noise_variance: Float[np.ndarray, " d"] | float = 0.0,
) -> float:
    """What SGLD converges to on L(w) = ½ Σ h_i (w_i - w*_i)²; no limit is taken.

    ½ Σ t h_i / (t h_i + γ), which is the local posterior's own value, times what the
    step size ε adds, 1 / (1 - ε (t h_i + γ) / 4), times what minibatches add,
    1 + ε t² s_i² / 4: the variance of a linear recursion with Gaussian noise.

    Args:
        curvature: h, the eigenvalues of the Hessian, at least 0.
        n_beta: t.
        gamma: γ.
        step_size: ε; 0 for the posterior itself, which is what MALA and HMC draw from.
        noise_variance: s², of each coordinate of the minibatch gradient of the loss, in
            the eigenbasis, independent of the place.

    Raises:
        ValueError: the step size is beyond the stability bound ε (t h_max + γ) < 4.

    Example:
        >>> import numpy as np
        >>> h = np.array([1, 0.3, 0.1, 0.01])
        >>> round(quadratic(h, n_beta=100, gamma=1), 3)
        1.683
        >>> round(quadratic(h, n_beta=100, gamma=1, step_size=1e-2), 3)
        1.905
    """
    h = np.asarray(curvature, np.float64)
    stiffness = n_beta * h + gamma
    if step_size * stiffness.max() >= 4:
        raise ValueError(
            f"truth.quadratic: SGLD with `step_size` = {step_size:g} is unstable: "
            f"step_size · (n_beta · h_max + gamma) = {step_size * stiffness.max():.3g} "
            "is not below 4."
        )
    heat = 1 + step_size * n_beta**2 * np.asarray(noise_variance) / 4
    # A direction that nothing holds spreads for ever, but at no loss.
    own = np.divide(n_beta * h, stiffness, out=np.zeros_like(h), where=stiffness > 0)
    return float(0.5 * (own * heat / (1 - step_size * stiffness / 4)).sum())
