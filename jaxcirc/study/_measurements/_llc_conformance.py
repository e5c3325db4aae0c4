"""What the samplers give where the coefficient is known exactly."""

import dataclasses
import functools
from collections.abc import Mapping

import equinox as eqx
import numpy as np
from jaxtyping import Array, Key, PyTree

from ..._core import find
from ...llc import SAMPLERS, conformance
from ...models import TransformerConfig
from ...tasks import AbstractTask
from ._llc import STATUSES
from ._measurement import MeasurementSpec, Once
from ._quantity import Outcome, Quantity, Role


class LLCConformance(Once):
    """Samplers against exact coefficients; the study's model has no part in it.

    It belongs beside an LLC curve as the scale beside a photograph: this is how far the
    same code is from the truth where there is one.
    """

    samplers: tuple[str, ...] = eqx.field(static=True)
    effort: float = eqx.field(static=True)

    def __call__(
        self,
        task: AbstractTask,
        inputs: Mapping[str, PyTree],
        *,
        key: Key[Array, ""],
    ) -> Outcome:
        """Exact and estimated coefficients along axes `sampler` and `case`."""
        del task, inputs
        scores = [
            conformance.run(
                _sampler(name), families=_families(), effort=self.effort, key=key
            ).scores
            for name in self.samplers
        ]

        def each(of, units="", meaning="", role: Role = "diagnostic") -> Quantity:
            values = np.array([[np.float64(of(s)) for s in row] for row in scores])
            return Quantity(values, ("sampler", "case"), units, meaning, role=role)

        status = each(lambda s: STATUSES.index(s.status), meaning="of the estimate")
        quantities = {
            "exact": each(lambda s: s.truth, meaning="what a perfect sampler gives"),
            "llc": each(lambda s: s.value, meaning="what this one gave", role="series"),
            "standard_error": each(lambda s: s.standard_error, meaning="of llc"),
            "error": each(lambda s: s.error, meaning="relative error"),
            "status": dataclasses.replace(status, codes=STATUSES),
            "gradients": each(lambda s: s.gradients, "gradients", "of one chain"),
        }
        return Outcome(quantities)

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Names of samplers and cases."""
        del config, task, key
        cases = [f"{f.name}: {label}" for f in _families() for label in f.labels]
        return {"sampler": list(self.samplers), "case": cases}


@functools.cache
def _families() -> list[conformance.Family]:
    """Models with known coefficients, from quadratic bowls to deep linear networks."""
    return [
        conformance.quadratics(),
        conformance.normal_crossings(),
        conformance.deep_linear((5, 3, 5), 2),
        conformance.deep_linear((4, 3, 8), 1),
        conformance.deep_linear((12, 9, 14), 4),
        conformance.deep_linear((16, 10, 14, 12), 5),
    ]


def _sampler(name: str):
    """A sampler with a step size that the run replaces for each case."""
    return find(SAMPLERS, name, kind="sampler").build(step_size=1.0)


def llc_conformance(
    samplers: tuple[str, ...] = ("sgld", "hmc"), effort: float = 1.0
) -> LLCConformance:
    """Samplers against exact coefficients.

    Args:
        samplers: Names as in `llc`.
        effort: Factor on the number of steps.

    Raises:
        ValueError: there is no such sampler, none at all, or no effort.
    """
    for name in samplers:
        find(SAMPLERS, name, kind="sampler")
    if not samplers or not effort > 0:
        raise ValueError(
            "llc_conformance: needs at least one sampler and a positive `effort`; got "
            f"{list(samplers)} and {effort}."
        )
    return LLCConformance(tuple(samplers), effort)


SPEC = MeasurementSpec(
    name="llc_conformance",
    summary="samplers against coefficients that are known exactly",
    build=llc_conformance,
    tiny={"samplers": ("hmc",), "effort": 0.002},
)
