"""Figures from labelled results."""

from ._curves import (
    Curve as Curve,
    CurvePanel as CurvePanel,
    developmental_curves as developmental_curves,
)
from ._heatmap import head_step_heatmap as head_step_heatmap
from ._llc import (
    calibration_grid as calibration_grid,
    chain_traces as chain_traces,
    conformance_scatter as conformance_scatter,
)
from ._pattern import attention_pattern as attention_pattern
from ._script import plotly_script as plotly_script
