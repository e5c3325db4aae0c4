"""Published checkpoints as the trajectory of a study, by options that YAML has."""

from collections.abc import Sequence
from typing import Any

from jaxcirc.checkpoints import ReaderSpec, Trajectory
from jaxcirc.models import TransformerConfig

from ..checkpoints import load, rule, trajectory


def published(
    source: str | list[str],
    schedule: str | None = None,
    steps: list[int] | dict[int, str] | None = None,
    pattern: str | None = None,
    branch: str | None = None,
    dtype: str = "float32",
    cache: str | None = None,
    keep: int | None = None,
    cfg: dict[str, Any] | None = None,
    ignore: list[str] | None = None,
    names: dict[str, str] | None = None,
    config: dict[str, Any] | None = None,
    rules: list[list[str]] | None = None,
) -> tuple[Trajectory, ...]:
    """The trajectories of published runs; several of them are seeds of one.

    Args:
        source: A HuggingFace id, a folder or a file, or several for several seeds; see
            `tracr_bridge.trajectory`.
        schedule: Only the steps of a named schedule.
        steps: Only these; or step -> name of the revision, folder, file or group.
        pattern: A regular expression that names must contain.
        branch: A branch of the hub whose commits are the checkpoints.
        dtype: Of the weights.
        cache: Where downloads go.
        keep: Downloaded checkpoints to keep on disk at most.
        cfg: What TransformerLens weights do not show, such as `act_fn`.
        ignore: Patterns of tensors to leave out.
        names: Pattern -> replacement, for tensors that have another name there.
        config: Of the model (`TransformerConfig`), for files of weights of one's own.
        rules: What their tensors hold: `[theirs, ours, layout]` each.

    Returns:
        One trajectory per source.

    Raises:
        CheckpointError: a source cannot be reached or holds no checkpoints.
        ValueError: an option is none that can be followed.
    """
    # Runs that differ in their seed alone are measured as seeds of one.
    sources: Sequence[str] = [source] if isinstance(source, str) else source
    options = {"schedule": schedule, "steps": steps, "pattern": pattern}
    options |= {
        "branch": branch,
        "dtype": dtype,
        "cache": cache,
        "keep": keep,
        "cfg": cfg,
        "ignore": ignore or (),
        "names": names,
        "config": None if config is None else TransformerConfig.from_dict(config),
        "rules": None if rules is None else [rule(*_three(one)) for one in rules],
    }
    return tuple(trajectory(one, **options) for one in sources)


def _three(row: list[str]) -> list[str]:
    if len(row) != 3:
        raise ValueError(
            "trajectory: each of `rules` is [their name, our name, layout], such as "
            f"[wte, W_E, v m -> v m]; got {row}."
        )
    return row


READER = ReaderSpec(
    name="published",
    summary="checkpoints of the HuggingFace hub, of folders and of files",
    build=published,
)

WEIGHTS = ReaderSpec(
    name="weights",
    summary="one model of the HuggingFace hub, of a folder or of a file",
    build=load,
)
