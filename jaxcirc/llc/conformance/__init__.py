"""Samplers scored against losses whose coefficients are known exactly."""

from ._families import (
    Family as Family,
    deep_linear as deep_linear,
    normal_crossings as normal_crossings,
    quadratics as quadratics,
    random_deep_linear as random_deep_linear,
)
from ._run import (
    Conformance as Conformance,
    Score as Score,
    run as run,
    standard_families as standard_families,
)
