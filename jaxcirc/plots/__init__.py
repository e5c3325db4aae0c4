"""Figures from labelled results."""

from ._bars import stacked_bars as stacked_bars
from ._curves import (
    Curve as Curve,
    CurvePanel as CurvePanel,
    developmental_curves as developmental_curves,
)
from ._heatmap import square_matrix as square_matrix, step_heatmap as step_heatmap
from ._llc import (
    Estimates as Estimates,
    calibration_grid as calibration_grid,
    chain_traces as chain_traces,
    coefficient_rows as coefficient_rows,
    conformance_scatter as conformance_scatter,
)
from ._matrix import colour_scale as colour_scale, matrix_heatmap as matrix_heatmap
from ._pattern import attention_pattern as attention_pattern
from ._script import plotly_script as plotly_script
from ._spans import Span as Span, span_timeline as span_timeline
from ._style import plain as plain
from ._timeline import Move as Move, change_timeline as change_timeline
from ._triple import pattern_triple as pattern_triple
