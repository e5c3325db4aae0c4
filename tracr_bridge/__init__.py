"""RASP programs as transformers that can be measured, ablated and trained."""

from . import programs as programs, published as published
from ._classifier import classifier as classifier
from ._compile import compile as compile  # noqa: A004
from ._compiled import (
    CompiledModel as CompiledModel,
    Exactness as Exactness,
    Output as Output,
)
from ._compress import (
    Compression as Compression,
    compress as compress,
    project as project,
)
from ._files import load as load, save as save
from ._students import (
    disturbed as disturbed,
    extended as extended,
    with_head as with_head,
)
from ._task import (
    ProgramTask as ProgramTask,
    compile_named as compile_named,
    program_task as program_task,
)
from ._torch import from_torch as from_torch, to_torch as to_torch
