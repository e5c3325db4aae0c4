"""The catalogue of sections: one file and one row each.

A measurement without a row is drawn by its axes (`quantities`).
"""

from ..._core import Catalogue
from .._section import SectionSpec
from . import (
    attention,
    changes,
    chord,
    circuit,
    decompose,
    dictionaries,
    head_roles,
    llc,
    llc_ablations,
    llc_conformance,
    llc_grid,
    llc_programs,
    llc_solution,
    loss_change,
    pattern_change,
    patterns,
    performance,
    quantities,
    sae_features,
    sae_latents,
    sae_quality,
    sae_truth,
    taylor,
    training,
    updates,
    weights,
)

_OWN = (
    training.SECTION,
    changes.SECTION,
    performance.SECTION,
    attention.SECTION,
    patterns.SECTION,
    circuit.SECTION,
    head_roles.SECTION,
    dictionaries.SECTION,
    sae_quality.SECTION,
    sae_features.SECTION,
    sae_latents.SECTION,
    sae_truth.SECTION,
    weights.SECTION,
    taylor.SECTION,
    decompose.SECTION,
    loss_change.SECTION,
    pattern_change.SECTION,
    updates.SECTION,
    chord.SECTION,
    llc.SECTION,
    llc_grid.SECTION,
    llc_solution.SECTION,
    llc_ablations.SECTION,
    llc_programs.SECTION,
    llc_conformance.SECTION,
)
SECTIONS = Catalogue("jaxcirc.sections", _OWN, of=SectionSpec)
FALLBACK = quantities.SECTION


def section_of(kind: str) -> SectionSpec:
    """The row that says how a kind of measurement is shown.

    Args:
        kind: Name of the measurement.

    Returns:
        Its row, with the fallback's drawing if it has none of its own; the fallback
        itself for a measurement that the catalogue does not know.
    """
    for row in SECTIONS:
        if row.name == kind:
            return row if row.draw else _drawn_by_axes(row)
    return FALLBACK


def _drawn_by_axes(row: SectionSpec) -> SectionSpec:
    """The row with the fallback's drawing, and with the controls that belong to it."""
    # The controls belong to what draws them, so they come with the drawing.
    return row._replace(draw=FALLBACK.draw, explorer=FALLBACK.explorer)
