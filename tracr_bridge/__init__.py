"""RASP programs and published checkpoints as transformers that can be measured."""

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
from ._hub import revisions as revisions
from ._load import (
    from_tensors as from_tensors,
    from_transformer_lens as from_transformer_lens,
    load as load,
    load_llama2c as load_llama2c,
    open_tensors as open_tensors,
    save as save,
)
from ._parity import (
    Difference as Difference,
    Parity as Parity,
    check_parity as check_parity,
)
from ._pico_run import PicoDynamics as PicoDynamics, pico_dynamics as pico_dynamics
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
from ._trajectories import trajectory as trajectory
from .families import (
    FAMILIES as FAMILIES,
    Family as Family,
    Rule as Rule,
    UnsupportedOption as UnsupportedOption,
    rule as rule,
)
