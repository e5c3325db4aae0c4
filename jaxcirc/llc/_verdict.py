"""The verdict on each chain, and on all of them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ._checks import OF_CHAIN, TOGETHER, Check
from ._evidence import Evidence
from ._status import Status, Verdict


def chain_verdicts(evidence: Evidence) -> list[Verdict]:
    """A verdict on each chain by itself, the first that is true of it.

    Args:
        evidence: What the chains gave, those that diverged included.
    """
    each = np.eye(len(evidence.llc), dtype=bool)
    return [
        _first(evidence.kept(one), OF_CHAIN)
        or Verdict(
            Status.CONVERGED,
            f"no test speaks against it ({evidence.kept(one).ess:.0f} independent "
            "draws).",
        )
        if np.isfinite(evidence.llc[one]).all()
        else _diverged(evidence.llc[one][0])
        for one in each
    ]


def verdict(evidence: Evidence) -> Verdict:
    """The verdict on all chains together, the first that is true of them.

    Args:
        evidence: What the chains gave, those that diverged included.
    """
    n = len(evidence.llc)
    n_bad = int((~np.isfinite(evidence.llc).all(axis=1)).sum())
    if n_bad:
        rest = "none is left" if n_bad == n else "the value is that of the others"
        return Verdict(
            Status.DIVERGED,
            f"{n_bad} of {n} chains diverged and {rest}; lower `step_size`.",
        )
    return _first(evidence, TOGETHER) or Verdict(
        Status.CONVERGED,
        f"{n} chains agree (split R-hat {evidence.rhat:.3f}, {evidence.ess:.0f} "
        "independent draws).",
    )


def _first(evidence: Evidence, checks: Sequence[Check]) -> Verdict | None:
    found = (check(evidence) for check in checks)
    return next((verdict for verdict in found if verdict is not None), None)


def _diverged(llc: Float[np.ndarray, " draw"]) -> Verdict:
    first = int(np.flatnonzero(~np.isfinite(llc))[0])
    return Verdict(
        Status.DIVERGED,
        f"the loss is not finite from draw {first} on; lower `step_size`.",
    )
