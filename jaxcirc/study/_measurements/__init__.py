"""The catalogue of measurements: one file and one row each."""

from ..._core import Catalogue
from . import (
    _attention,
    _circuit,
    _circuit_change,
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
    _taylor,
    _weight_path,
    _weights,
)
from ._measurement import (
    SCOPES as SCOPES,
    AbstractMeasurement as AbstractMeasurement,
    AlongRun as AlongRun,
    Chunk as Chunk,
    MeasurementSpec as MeasurementSpec,
    Once as Once,
    PerCheckpoint as PerCheckpoint,
    PerChunk as PerChunk,
    Snapshot as Snapshot,
    Used as Used,
)
from ._quantity import (
    Failure as Failure,
    Outcome as Outcome,
    Quantity as Quantity,
    Role as Role,
    checked as checked,
)
from ._use import Use as Use, parse_use as parse_use

_OWN = (
    _performance.SPEC,
    _attention.SPEC,
    _patterns.SPEC,
    _circuit.SPEC,
    _circuit_change.SPEC,
    _weights.SPEC,
    _weight_path.SPEC,
    _taylor.SPEC,
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
