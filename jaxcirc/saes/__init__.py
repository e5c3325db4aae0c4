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
from ._batch_topk import BatchTopK as BatchTopK
from ._dictionary import Dictionary as Dictionary
from ._files import load as load, metadata as metadata, save as save
from ._gated import Gated as Gated
from ._jumprelu import JumpReLU as JumpReLU
from ._matryoshka import Matryoshka as Matryoshka
from ._nonlinearity import (
    Above as Above,
    AbstractNonlinearity as AbstractNonlinearity,
    Gate as Gate,
    KeepTop as KeepTop,
    Relu as Relu,
)
from ._stack import stack_configs as stack_configs
from ._standard import Standard as Standard
from ._state import State as State
from ._topk import TopK as TopK
from ._transcoder import (
    crosscoder as crosscoder,
    skip_transcoder as skip_transcoder,
    transcoder as transcoder,
)
from ._unit_rows import unit_rows as unit_rows
from .formats import FORMATS as FORMATS, FormatSpec as FormatSpec
