"""Local learning coefficients: sampling that can be trusted, batched over everything.

Everything here takes anybody's pytree of weights and a pure loss. `truth` has
coefficients that are known exactly, `conformance` scores samplers against them.
"""

from .._core import Catalogue
from . import (
    _adam_sgld,
    _hmc,
    _mala,
    _rmsprop_sgld,
    _sghmc,
    _sgld,
    _sgnht,
    truth as truth,
)
from ._adam_sgld import AdamSGLD as AdamSGLD
from ._calibrate import calibrate as calibrate, propose as propose
from ._calibration import Calibration as Calibration, Fit as Fit
from ._chain import Schedule as Schedule
from ._extrapolate import Limit as Limit, extrapolate as extrapolate
from ._force_preconditioner import force_preconditioner as force_preconditioner
from ._hmc import HMC as HMC
from ._job import make_job as make_job
from ._layout import LLCMemoryError as LLCMemoryError
from ._lengths import Lengths as Lengths
from ._mala import MALA as MALA
from ._masks import path_mask as path_mask
from ._plateau import Plateau as Plateau, find_plateau as find_plateau
from ._preconditioner import (
    AbstractPreconditioner as AbstractPreconditioner,
    DiagonalPreconditioner as DiagonalPreconditioner,
    LowRankPreconditioner as LowRankPreconditioner,
    RootPreconditioner as RootPreconditioner,
)
from ._prediction import Prediction as Prediction
from ._problem import DatasetLoss as DatasetLoss
from ._responses import influence as influence, susceptibilities as susceptibilities
from ._result import LLCError as LLCError, LLCEstimate as LLCEstimate
from ._rmsprop_sgld import RMSpropSGLD as RMSpropSGLD
from ._sampler import AbstractSampler as AbstractSampler, SamplerSpec as SamplerSpec
from ._sghmc import SGHMC as SGHMC
from ._sgld import SGLD as SGLD
from ._sgnht import SGNHT as SGNHT
from ._stack import stack_models as stack_models
from ._status import Status as Status, Verdict as Verdict
from ._sweep import Sweep as Sweep, estimate as estimate, sweep as sweep

from . import conformance as conformance  # isort: skip

_OWN = (
    _sgld.SPEC,
    _rmsprop_sgld.SPEC,
    _adam_sgld.SPEC,
    _sghmc.SPEC,
    _sgnht.SPEC,
    _mala.SPEC,
    _hmc.SPEC,
)
SAMPLERS = Catalogue("jaxcirc.samplers", _OWN, of=SamplerSpec)
