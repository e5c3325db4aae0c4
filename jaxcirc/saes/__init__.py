"""Sparse dictionaries: how they are trained, how good they are, and how they live."""

from ._architecture import (
    AbstractArchitecture as AbstractArchitecture,
    ArchitectureSpec as ArchitectureSpec,
    Terms as Terms,
)
from ._architectures import ARCHITECTURES as ARCHITECTURES
from ._array_activations import ArrayActivations as ArrayActivations
from ._aux_k import AuxK as AuxK
from ._batch_topk import BatchTopK as BatchTopK
from ._buffer import (
    Buffer as Buffer,
    empty_buffer as empty_buffer,
    refill as refill,
    served as served,
    without as without,
)
from ._density import Firing as Firing, firing as firing
from ._dictionary import Dictionary as Dictionary
from ._fate import SparsityWarning as SparsityWarning, TrainingFailed as TrainingFailed
from ._files import load as load, metadata as metadata, save as save
from ._gated import Gated as Gated
from ._jumprelu import JumpReLU as JumpReLU
from ._matryoshka import Matryoshka as Matryoshka
from ._model_activations import ModelActivations as ModelActivations
from ._nonlinearity import (
    Above as Above,
    AbstractNonlinearity as AbstractNonlinearity,
    Gate as Gate,
    KeepTop as KeepTop,
    Relu as Relu,
)
from ._planted import Planted as Planted, Sample as Sample, planted as planted
from ._planted_run import PlantedRun as PlantedRun, planted_run as planted_run
from ._predict import training_memory as training_memory
from ._program import TrainingState as TrainingState
from ._reconstruction import (
    Reconstruction as Reconstruction,
    reconstruction as reconstruction,
)
from ._sampled import SampledActivations as SampledActivations
from ._source import AbstractSource as AbstractSource, Rows as Rows
from ._stack import stack_configs as stack_configs
from ._standard import Standard as Standard
from ._state import State as State
from ._topk import TopK as TopK
from ._train import train as train
from ._trained import Trained as Trained
from ._training import Training as Training
from ._transcoder import (
    crosscoder as crosscoder,
    skip_transcoder as skip_transcoder,
    transcoder as transcoder,
)
from ._unit_rows import unit_rows as unit_rows
from .formats import FORMATS as FORMATS, FormatSpec as FormatSpec
