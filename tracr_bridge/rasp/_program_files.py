"""Compiled programs on disk, in the native checkpoint format."""

from typing import Any

from jaxcirc.checkpoints import CheckpointError, TrajectoryWriter, open_trajectory

from ._compiled import CompiledModel, Exactness


def save_program(compiled: CompiledModel, folder: str) -> None:
    """Write a compiled program as a trajectory of one checkpoint, labels included.

    The weights are a native checkpoint at step 0, hashed like those of a training run.
    The vocabulary, what each direction, head and MLP stands for, and what was checked
    against the interpreter stand in `trajectory.json`, so that `load_program` needs no
    tracr.

    Args:
        compiled: The program, as `compile` or `compile_named` gives it.
        folder: Where to write; it is created if it is not there.

    Raises:
        ValueError: a token is not a string, a number, a boolean or None.
        OSError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> from tracr_bridge.rasp import compile, load_program, programs, save_program
        >>> folder = tempfile.mkdtemp()
        >>> save_program(compile(programs.histogram(), "ab", 2, check=0), folder)
        >>> load_program(folder).output_values
        (0, 1, 2)
    """
    # JSON would turn a tuple into a list, and refuse others after half the work.
    for value in (*compiled.vocab, *(compiled.output_values or ())):
        if not isinstance(value, str | int | float | bool | None):
            raise ValueError(
                "save_program: tokens and outputs must be strings, numbers, booleans "
                f"or None; got {value!r}."
            )
    program = {
        "vocab": list(compiled.vocab),
        "output_values": None
        if compiled.output_values is None
        else list(compiled.output_values),
        "bos": compiled.bos,
        "pad": compiled.pad,
        "max_seq_len": compiled.max_seq_len,
        "residual_labels": list(compiled.residual_labels),
        "head_names": [list(row) for row in compiled.head_names],
        "mlp_names": [list(row) for row in compiled.mlp_names],
        "exactness": compiled.exactness._asdict(),
    }
    # One format for all weights: a program opens like a run of a single step.
    writer = TrajectoryWriter(folder, compiled.model.config, {"program": program})
    writer.save(0, compiled.model)


def load_program(folder: str) -> CompiledModel:
    """Read what `save_program` wrote; tracr is not needed.

    The hash of every tensor is checked. Values keep their types: a program whose
    answers are `False` and `True` does not come back with 0 and 1. The result computes
    what the saved program computed, bit for bit.

    Args:
        folder: A folder that `save_program` wrote.

    Returns:
        The program with its transformer, vocabulary and labels.

    Raises:
        CheckpointError: the folder holds no compiled model, or a damaged one.

    Example:
        >>> import tempfile
        >>> from tracr_bridge.rasp import compile, load_program, programs, save_program
        >>> compiled, folder = compile(programs.histogram(), "ab", 2, check=0), None
        >>> save_program(compiled, folder := tempfile.mkdtemp())
        >>> load_program(folder)(["BOS", "a", "b"]).decoded
        ['BOS', 1, 1]
    """
    trajectory = open_trajectory(folder)
    program: dict[str, Any] | None = trajectory.info.get("program")
    if program is None:
        raise CheckpointError(
            f"{folder} is a trajectory without a program; it was not written by "
            "`tracr_bridge.save_program`."
        )
    values = program["output_values"]
    return CompiledModel(
        model=trajectory.load(0),
        vocab=tuple(program["vocab"]),
        output_values=None if values is None else tuple(values),
        bos=program["bos"],
        pad=program["pad"],
        max_seq_len=program["max_seq_len"],
        residual_labels=tuple(program["residual_labels"]),
        head_names=tuple((a, b, name) for a, b, name in program["head_names"]),
        mlp_names=tuple((layer, name) for layer, name in program["mlp_names"]),
        exactness=Exactness(**program["exactness"]),
    )
