"""Sparse dictionaries: trained, judged and followed through training."""

from ._array_activations import ArrayActivations as ArrayActivations
from ._buffer import (
    Buffer as Buffer,
    empty_buffer as empty_buffer,
    refill as refill,
    served as served,
    without as without,
)
from ._model_activations import ModelActivations as ModelActivations
from ._sampled import SampledActivations as SampledActivations
from ._source import AbstractSource as AbstractSource, Rows as Rows
