"""Local learning coefficients: sampling that can be trusted, batched over everything.

Everything here takes anybody's pytree of weights and a pure loss. `truth` has
coefficients that are known exactly, `conformance` scores samplers against them.
"""

from .._core import Catalogue
from . import truth as truth
from ._calibrate import (
    Calibration as Calibration,
    calibrate as calibrate,
    propose as propose,
)
from ._chain import Schedule as Schedule
from ._extrapolate import Limit as Limit, extrapolate as extrapolate
from ._job import make_job as make_job, stack_models as stack_models
from ._layout import LLCMemoryError as LLCMemoryError
from ._masks import path_mask as path_mask
from ._metropolis import HMC as HMC, MALA as MALA
from ._momentum import SGHMC as SGHMC, SGNHT as SGNHT
from ._plateau import Plateau as Plateau, find_plateau as find_plateau
from ._preconditioned import AdamSGLD as AdamSGLD, RMSpropSGLD as RMSpropSGLD
from ._problem import DatasetLoss as DatasetLoss
from ._responses import influence as influence, susceptibilities as susceptibilities
from ._result import LLCError as LLCError, LLCEstimate as LLCEstimate
from ._sampler import AbstractSampler as AbstractSampler, SamplerSpec as SamplerSpec
from ._sgld import SGLD as SGLD
from ._status import Status as Status, Verdict as Verdict
from ._sweep import Sweep as Sweep, estimate as estimate, sweep as sweep

from . import conformance as conformance  # isort: skip

_OWN = (
    SamplerSpec("sgld", "Langevin steps on minibatches", SGLD),
    SamplerSpec("rmsprop_sgld", "SGLD with RMSprop's preconditioner", RMSpropSGLD),
    SamplerSpec("adam_sgld", "SGLD with Adam's preconditioner", AdamSGLD),
    SamplerSpec("sghmc", "Langevin dynamics with momentum", SGHMC),
    SamplerSpec("sgnht", "the same with a thermostat", SGNHT),
    SamplerSpec("mala", "SGLD with a Metropolis test, on all data", MALA),
    SamplerSpec("hmc", "Hamiltonian Monte Carlo, on all data", HMC),
)
SAMPLERS = Catalogue("jaxcirc.samplers", _OWN, of=SamplerSpec)
