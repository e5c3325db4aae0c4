"""Sparse dictionaries: how they are trained, how good they are, and how they live."""

from ._absorption import Absorption as Absorption, absorption as absorption
from ._architecture import (
    AbstractArchitecture as AbstractArchitecture,
    ArchitectureSpec as ArchitectureSpec,
    Terms as Terms,
)
from ._architectures import ARCHITECTURES as ARCHITECTURES
from ._array_activations import ArrayActivations as ArrayActivations
from ._assignment import assignment as assignment, cosines as cosines
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
from ._features import Features as Features, features as features
from ._files import load as load, metadata as metadata, save as save
from ._follow import Followed as Followed, follow as follow
from ._gated import Gated as Gated
from ._in_program import (
    fresh_in_program as fresh_in_program,
    train_in_program as train_in_program,
    trained_shapes as trained_shapes,
)
from ._jumprelu import JumpReLU as JumpReLU
from ._latent_scaling import latent_scaling as latent_scaling
from ._life import lives as lives
from ._lives import Lives as Lives
from ._match import Match as Match, match as match, matched as matched
from ._matryoshka import Matryoshka as Matryoshka
from ._mcc import MCC as MCC, Detection as Detection, detection as detection, mcc as mcc
from ._model_activations import ModelActivations as ModelActivations
from ._nonlinearity import (
    Above as Above,
    AbstractNonlinearity as AbstractNonlinearity,
    Gate as Gate,
    KeepTop as KeepTop,
    Relu as Relu,
)
from ._norm_life import (
    NormLives as NormLives,
    decoder_norms as decoder_norms,
    norm_lives as norm_lives,
    relative_norms as relative_norms,
)
from ._overlap import overlap as overlap
from ._planted import Planted as Planted, Sample as Sample, planted as planted
from ._planted_run import PlantedRun as PlantedRun, planted_run as planted_run
from ._predict import training_memory as training_memory
from ._probing import Probe as Probe, sparse_probe as sparse_probe
from ._program import TrainingState as TrainingState
from ._quality import Quality as Quality, evaluate as evaluate
from ._reconstruction import (
    Reconstruction as Reconstruction,
    reconstruction as reconstruction,
)
from ._recovered import Recovered as Recovered
from ._recovery import Recovery as Recovery, recovery as recovery
from ._rules import Rules as Rules
from ._saebench import SAEBenchDictionary as SAEBenchDictionary
from ._sampled import SampledActivations as SampledActivations
from ._site_layout import site_width as site_width
from ._source import AbstractSource as AbstractSource, Rows as Rows
from ._splits import splits as splits
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
from ._written_by import written_by as written_by
from .formats import FORMATS as FORMATS, FormatSpec as FormatSpec
