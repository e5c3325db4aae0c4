"""The catalogue of measurements: one file and one row each."""

from . import (
    _attention,
    _circuits,
    _curvature,
    _fourier,
    _gradients,
    _llc,
    _llc_ablations,
    _llc_conformance,
    _llc_grid,
    _llc_programs,
    _llc_solution,
    _logit_lens,
    _metrics,
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

MEASUREMENTS = (
    _performance.SPEC,
    _attention.SPEC,
    _patterns.SPEC,
    _weights.SPEC,
    _metrics.SPEC,
    _circuits.SPEC,
    _fourier.SPEC,
    _logit_lens.SPEC,
    _gradients.SPEC,
    _curvature.SPEC,
    _llc.SPEC,
    _llc_grid.SPEC,
    _llc_solution.SPEC,
    _llc_ablations.SPEC,
    _llc_programs.SPEC,
    _llc_conformance.SPEC,
)
