"""RASP programs as a task and as a model family of studies."""

from jaxcirc.models import ModelSpec, TransformerConfig
from jaxcirc.study import Listing
from jaxcirc.tasks import TaskSpec

from ..rasp import ProgramTask, compile_named, program_task
from ..rasp.programs import PROGRAMS


def rasp_task(
    program: str,
    n_examples: int = 8192,
    train_fraction: float = 0.8,
    split_seed: int = 0,
) -> ProgramTask:
    """A RASP program: its sequences, with its answer at every position.

    Args:
        program: A name of the catalogue; `jaxcirc list` has them.
        n_examples: Sequences in both splits together, at most.
        train_fraction: Share of them to train on, in (0, 1).
        split_seed: Of which sequences there are, and which of them are held out.

    Raises:
        ValueError: there is no such program, or a split or its answers are too few.
    """
    return program_task(
        program,
        n_examples=n_examples,
        train_fraction=train_fraction,
        split_seed=split_seed,
    )


def rasp_model(d_vocab: int, n_ctx: int, *, program: str) -> TransformerConfig:
    """The architecture that a RASP program compiles into; needs tracr.

    Args:
        d_vocab: Of the task.
        n_ctx: Of the task.
        program: A name of the catalogue, as a rule that of the task.

    Raises:
        ImportError: tracr is not installed.
        ValueError: there is no such program, or the task has another vocabulary or
            context than it.
    """
    config = compile_named(program).model.config
    # A larger context would be another architecture than the program's.
    if (config.d_vocab, config.n_ctx) != (d_vocab, n_ctx):
        raise ValueError(
            f"rasp: the program {program!r} has {config.d_vocab} tokens and a context "
            f"of {config.n_ctx}; the task has {d_vocab} and {n_ctx}. Give the task's "
            "program."
        )
    return config


TASK = TaskSpec(
    name="rasp",
    summary="the answers of a RASP program, which also compiles into a solution",
    build=rasp_task,
    tiny={"program": "sort_unique"},
)
MODEL = ModelSpec(
    name="rasp",
    summary="the architecture that a RASP program compiles into",
    build=rasp_model,
    tiny={"program": "sort_unique"},
)
PROGRAM_LIST = Listing(name="rasp_programs", title="RASP programs", rows=PROGRAMS)
