"""Learning coefficients that are known exactly, to score samplers against."""

from ._coefficient import LearningCoefficient as LearningCoefficient
from ._deep_linear import deep_linear as deep_linear
from ._normal_crossing import (
    normal_crossing as normal_crossing,
    normal_crossing_at as normal_crossing_at,
)
from ._quadratic import quadratic as quadratic
from ._reduced_rank import reduced_rank as reduced_rank
from ._regular import regular as regular
