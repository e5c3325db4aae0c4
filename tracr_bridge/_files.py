"""Compiled models on disk, in the native checkpoint format."""

from typing import Any

from jaxcirc.checkpoints import CheckpointError, TrajectoryWriter, open_trajectory

from ._compiled import CompiledModel, Exactness


def save(compiled: CompiledModel, folder: str) -> None:
    """Write a compiled model as a trajectory of one checkpoint, labels included.

    Raises:
        ValueError: a token is not a string, a number, a boolean or None.
        OSError: the folder cannot be written.
    """
    for value in (*compiled.vocab, *(compiled.output_values or ())):
        if not isinstance(value, str | int | float | bool | None):
            raise ValueError(
                f"save: tokens and outputs must be strings, numbers, booleans or None; "
                f"got {value!r}."
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
    writer = TrajectoryWriter(folder, compiled.model.config, {"program": program})
    writer.save(0, compiled.model)


def load(folder: str) -> CompiledModel:
    """Read what `save` wrote; tracr is not needed.

    Raises:
        CheckpointError: the folder holds no compiled model, or a damaged one.
    """
    trajectory = open_trajectory(folder)
    program: dict[str, Any] | None = trajectory.info.get("program")
    if program is None:
        raise CheckpointError(
            f"{folder} is a trajectory without a program; it was not written by "
            "`tracr_bridge.save`."
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
