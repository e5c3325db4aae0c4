"""The catalogue of measurements: one file and one row each."""

from ..._core import Catalogue
from . import (
    _attention,
    _curvature,
    _fourier,
    _gradients,
    _llc,
    _llc_ablations,
    _llc_conformance,
    _llc_grid,
    _llc_solution,
    _logit_lens,
    _metrics,
    _ov_qk,
    _patterns,
    _performance,
    _weights,
)
from ._measurement import (
    AT_HAND as AT_HAND,
    AbstractMeasurement as AbstractMeasurement,
    MeasurementSpec as MeasurementSpec,
    Quantity as Quantity,
    Reference as Reference,
    Snapshot as Snapshot,
)

_OWN = (
    _performance.SPEC,
    _attention.SPEC,
    _patterns.SPEC,
    _weights.SPEC,
    _metrics.SPEC,
    _ov_qk.SPEC,
    _fourier.SPEC,
    _logit_lens.SPEC,
    _gradients.SPEC,
    _curvature.SPEC,
    _llc.SPEC,
    _llc_grid.SPEC,
    _llc_solution.SPEC,
    _llc_ablations.SPEC,
    _llc_conformance.SPEC,
)
MEASUREMENTS = Catalogue("jaxcirc.measurements", _OWN, of=MeasurementSpec)
