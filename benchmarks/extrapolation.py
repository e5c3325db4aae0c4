"""How often the limit of a few estimates is within two stated errors of the truth.

    python benchmarks/extrapolation.py

Exact values at finite n_beta of eight normal crossings and a quadratic, with relative
errors of 0.3, 1 and 3%, at four sets of temperatures, 20 times each: 2,160 limits. A
straight line in 1 / ln t, weighted and without a constraint, is beside them.
"""

import numpy as np

from jaxcirc import llc

CROSSINGS = ((1, 1), (0, 1), (0, 2), (1, 2), (2, 2), (1, 3), (3, 3), (2, 3))
SPECTRUM = np.array([1.0, 0.3, 0.1, 0.01])
TEMPERATURES = (
    [1e2, 1e3, 1e4],
    [1e2, 3e2, 1e3, 3e3, 1e4],
    [1e3, 1e4, 1e5, 1e6],
    [1e2, 1e4],
)


def cases():
    """(temperatures, exact values there, limit)."""
    for ts in TEMPERATURES:
        for powers in CROSSINGS:
            exact = [llc.truth.normal_crossing_at(powers, n_beta=t) for t in ts]
            yield ts, np.array(exact), 1 / (2 * max(powers))
        exact = [llc.truth.quadratic(SPECTRUM, n_beta=t, gamma=1.0) for t in ts]
        yield ts, np.array(exact), 2.0


def straight(ts, values, errors):
    """Intercept of a line in 1 / ln t, and its standard error."""
    design = np.stack([np.ones(len(ts)), -1 / np.log(ts)], axis=1) / errors[:, None]
    covariance = np.linalg.inv(design.T @ design)
    return (covariance @ design.T @ (values / errors))[0], np.sqrt(covariance[0, 0])


def main():
    rng = np.random.default_rng(0)
    total = inside = refused = line = 0
    for ts, exact, limit in cases():
        for share in (0.003, 0.01, 0.03):
            for noise in rng.normal(size=(20, len(ts))):
                errors = share * exact
                values = exact + errors * noise
                total += 1
                value, error = straight(ts, values, errors)
                line += abs(value - limit) <= 2 * error
                try:
                    found = llc.extrapolate(ts, values, errors)
                except ValueError:
                    refused += 1
                    continue
                inside += abs(found.value - limit) <= 2 * found.standard_error
    print(
        f"{total} limits: {100 * inside / total:.1f}% within two stated errors, "
        f"{100 * refused / total:.1f}% refused; of a straight line "
        f"{100 * line / total:.1f}%"
    )


if __name__ == "__main__":
    main()
