"""Checkpoints that somebody else has trained, in the place of a training run."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..checkpoints import Trajectory
from ..models import TransformerConfig


class Published(NamedTuple):
    """Trajectories of published runs; several are seeds of one.

    It answers what a measurement asks of a `Training`.

    Args:
        trajectories: One per seed, with the same steps and config.
        options: What the study says of them.
    """

    trajectories: tuple[Trajectory, ...]
    options: dict[str, Any]

    @property
    def seed(self) -> int:
        """The first one's number."""
        return 0

    @property
    def seeds(self) -> int:
        """How many runs there are."""
        return len(self.trajectories)

    @property
    def checkpoint_steps(self) -> tuple[int, ...]:
        """Steps that have a checkpoint."""
        return self.trajectories[0].steps

    @property
    def steps(self) -> int:
        """Updates to make: none."""
        return 0

    @property
    def model(self) -> TransformerConfig:
        """What all of them are checkpoints of."""
        return TransformerConfig.from_dict(self.trajectories[0].info["model"])


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
    """The trajectories of published runs.

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
    """
    from tracr_bridge import rule, trajectory

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
    found = tuple(trajectory(one, **options) for one in sources)
    for other in found[1:]:
        for what, a, b in (
            ("steps", found[0].steps, other.steps),
            ("a config", found[0].info["model"], other.info["model"]),
        ):
            if a != b:
                raise ValueError(
                    f"trajectory: {other.name} has {what} other than {found[0].name}; "
                    "runs that are seeds of one must agree."
                )
    if not found:
        raise ValueError("trajectory: `source` names no run.")
    return found


def _three(row: list[str]) -> list[str]:
    if len(row) != 3:
        raise ValueError(
            "trajectory: each of `rules` is [their name, our name, layout], such as "
            f"[wte, W_E, v m -> v m]; got {row}."
        )
    return row
