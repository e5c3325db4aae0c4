"""The catalogue of what may be put in place of what a circuit leaves out."""

from .._core import Catalogue, find
from . import _mean, _optimal, _resample, _zero
from ._abstract_ablation import (
    AblationSpec as AblationSpec,
    AbstractAblation as AbstractAblation,
)

_OWN = (_resample.SPEC, _zero.SPEC, _mean.SPEC, _optimal.SPEC)
ABLATIONS = Catalogue("jaxcirc.ablations", _OWN, of=AblationSpec)


def ablation_of(given: str | AbstractAblation) -> AbstractAblation:
    """An ablation given by its name or as it is.

    Args:
        given: A row of `ABLATIONS`, or an ablation.

    Raises:
        ValueError: no row has this name.
    """
    if isinstance(given, AbstractAblation):
        return given
    return find(ABLATIONS, given, kind="ablation").build()
