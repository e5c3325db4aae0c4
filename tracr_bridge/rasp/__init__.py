"""RASP programs: compiled, as tasks, as starting points of students, and measured."""

from . import programs as programs, published_llcs as published_llcs
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
from ._program_files import (
    load_program as load_program,
    save_program as save_program,
)
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
