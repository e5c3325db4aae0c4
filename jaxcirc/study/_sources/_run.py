"""Checkpoints of another run of this library."""

from .._run_folder import seeds_of_run
from ._ready import Ready
from ._source import SourceSpec


def build_run(folder: str) -> Ready:
    """The checkpoints of another run, every seed of it.

    Args:
        folder: What `jaxcirc run` has written, such as `runs/induction`.

    Raises:
        ValueError: it holds no checkpoints, or they are damaged.
    """
    found = seeds_of_run(folder)
    if not found:
        raise ValueError(
            f"run: {folder!r} holds no checkpoints; give a folder that `jaxcirc run` "
            "has trained in, such as runs/induction."
        )
    return Ready("run", list(found.values()), min(found))


SPEC = SourceSpec(
    section="run",
    summary="measure the checkpoints of another run",
    trains=False,
    options=lambda: build_run,
    build=build_run,
)
