"""RASP programs and published checkpoints as transformers that can be measured.

Two rooms: `rasp` compiles programs, makes tasks and students of them and knows their
published coefficients; `checkpoints` reads and writes other people's weights.
"""

from .checkpoints import (
    FAMILIES as FAMILIES,
    Difference as Difference,
    Family as Family,
    Parity as Parity,
    PicoDynamics as PicoDynamics,
    Rule as Rule,
    UnsupportedOption as UnsupportedOption,
    check_parity as check_parity,
    from_tensors as from_tensors,
    from_torch as from_torch,
    from_transformer_lens as from_transformer_lens,
    load as load,
    load_adapter as load_adapter,
    load_llama2c as load_llama2c,
    open_tensors as open_tensors,
    pico_dynamics as pico_dynamics,
    revisions as revisions,
    rule as rule,
    save as save,
    save_adapter as save_adapter,
    to_torch as to_torch,
    trajectory as trajectory,
)
from .rasp import (
    CompiledModel as CompiledModel,
    Compression as Compression,
    Exactness as Exactness,
    Output as Output,
    ProgramTask as ProgramTask,
    classifier as classifier,
    compile as compile,  # noqa: A004
    compile_named as compile_named,
    compress as compress,
    disturbed as disturbed,
    extended as extended,
    load_program as load_program,
    program_task as program_task,
    programs as programs,
    project as project,
    published_llcs as published_llcs,
    save_program as save_program,
    with_head as with_head,
)
