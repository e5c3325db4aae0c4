"""Sparse dictionaries: autoencoders, transcoders and crosscoders of activations.

A config such as `TopK` says sizes and coefficients; its `init` gives a `Dictionary`,
whose arrays are the trained parameters, and its `loss` trains one.
"""

from ._architecture import (
    AbstractArchitecture as AbstractArchitecture,
    ArchitectureSpec as ArchitectureSpec,
    Terms as Terms,
)
from ._architectures import ARCHITECTURES as ARCHITECTURES
from ._aux_k import AuxK as AuxK
from ._density import Firing as Firing, firing as firing
from ._dictionary import Dictionary as Dictionary
from ._nonlinearity import (
    Above as Above,
    AbstractNonlinearity as AbstractNonlinearity,
    KeepTop as KeepTop,
    Relu as Relu,
)
from ._planted import Planted as Planted, Sample as Sample, planted as planted
from ._planted_run import PlantedRun as PlantedRun, planted_run as planted_run
from ._reconstruction import (
    Reconstruction as Reconstruction,
    reconstruction as reconstruction,
)
from ._stack import stack_configs as stack_configs
from ._standard import Standard as Standard
from ._state import State as State
from ._topk import TopK as TopK
