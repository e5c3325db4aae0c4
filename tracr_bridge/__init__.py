"""RASP programs as transformers that can be measured, ablated and trained."""

from . import programs as programs
from ._compile import compile as compile  # noqa: A004
from ._compiled import (
    CompiledModel as CompiledModel,
    Exactness as Exactness,
    Output as Output,
)
from ._files import load as load, save as save
from ._students import (
    disturbed as disturbed,
    extended as extended,
    reinitialised as reinitialised,
    without as without,
)
from ._torch import from_torch as from_torch, to_torch as to_torch
