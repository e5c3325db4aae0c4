"""Checkpoints that somebody else has trained, in the place of a training run."""

from collections.abc import Sequence
from typing import Any

from ...models import TransformerConfig
from ._ready import Ready
from ._source import SourceSpec


def build_published(
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
) -> Ready:
    """Checkpoints that somebody else has published; several runs are seeds of one.

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

    Raises:
        ValueError: there is no such run, or several differ in steps or config.
        CheckpointError: a file is missing or damaged.
    """
    from tracr_bridge import rule, trajectory

    own = None if config is None else TransformerConfig.from_dict(config)
    mapped = None if rules is None else [rule(*_three(one)) for one in rules]
    sources: Sequence[str] = [source] if isinstance(source, str) else source
    found = [
        trajectory(
            one,
            schedule=schedule,
            steps=steps,
            pattern=pattern,
            branch=branch,
            dtype=dtype,
            cache=cache,
            keep=keep,
            cfg=cfg,
            ignore=ignore or (),
            names=names,
            config=own,
            rules=mapped,
        )
        for one in sources
    ]
    return Ready("trajectory", found)


def _three(row: list[str]) -> list[str]:
    if len(row) != 3:
        raise ValueError(
            "trajectory: each of `rules` is [their name, our name, layout], such as "
            f"[wte, W_E, v m -> v m]; got {row}."
        )
    return row


SPEC = SourceSpec(
    section="trajectory",
    summary="measure checkpoints that somebody else has published",
    trains=False,
    options=build_published,
    build=build_published,
)
