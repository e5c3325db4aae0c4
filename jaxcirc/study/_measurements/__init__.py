"""The catalogue of measurements: one file and one row each."""

from . import (
    _attention,
    _llc,
    _llc_conformance,
    _llc_grid,
    _patterns,
    _performance,
    _weights,
)
from ._measurement import (
    AbstractMeasurement as AbstractMeasurement,
    MeasurementSpec as MeasurementSpec,
    Quantity as Quantity,
    Snapshot as Snapshot,
)

MEASUREMENTS = (
    _performance.SPEC,
    _attention.SPEC,
    _patterns.SPEC,
    _weights.SPEC,
    _llc.SPEC,
    _llc_grid.SPEC,
    _llc_conformance.SPEC,
)
