"""Objectives: a number for each example, that one can train on, sample or attribute.

Training, local learning coefficients, gradients, curvature and kernels all take one of
these, or anybody's function `(params, examples) -> value of each example`.
"""

from .._core import (
    AbstractObjective as AbstractObjective,
    Catalogue,
    Objective as Objective,
    mean_of as mean_of,
)
from . import (
    _answer_probability,
    _cross_entropy,
    _kl_to,
    _logit_difference,
    _probability_difference,
)
from ._answer_probability import AnswerProbability as AnswerProbability
from ._cross_entropy import CrossEntropy as CrossEntropy
from ._kl_to import KLTo as KLTo, SoftBatch as SoftBatch
from ._logit_difference import LogitDifference as LogitDifference
from ._negative import Negative as Negative
from ._probability_difference import ProbabilityDifference as ProbabilityDifference
from ._spec import ObjectiveSpec as ObjectiveSpec

_OWN = (
    _cross_entropy.SPEC,
    _logit_difference.SPEC,
    _kl_to.SPEC,
    _probability_difference.SPEC,
    _answer_probability.SPEC,
)
OBJECTIVES = Catalogue("jaxcirc.objectives", _OWN, of=ObjectiveSpec)
