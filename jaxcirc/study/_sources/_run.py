"""Checkpoints of another run of this library."""

import posixpath

import fsspec

from ...checkpoints import open_trajectory
from ._ready import Ready
from ._source import SourceSpec


def build_run(folder: str) -> Ready:
    """The checkpoints of another run, every seed of it.

    Args:
        folder: What `jaxcirc run` has written, such as `runs/induction`.

    Raises:
        ValueError: it holds no checkpoints.
        CheckpointError: they are damaged.
    """
    training = posixpath.join(folder, "training")
    fs, root = fsspec.core.url_to_fs(training)
    found = fs.ls(root, detail=False) if fs.isdir(root) else []
    names = [posixpath.basename(path) for path in found]
    seeds = sorted(int(n[5:]) for n in names if n[:5] == "seed_" and n[5:].isdecimal())
    if not seeds:
        raise ValueError(
            f"run: {folder!r} holds no checkpoints; give a folder that `jaxcirc run` "
            "has trained in, such as runs/induction."
        )
    paths = [posixpath.join(training, f"seed_{seed}") for seed in seeds]
    trajectories = [open_trajectory(path) for path in paths]
    return Ready("run", trajectories, seeds[0])


SPEC = SourceSpec(
    section="run",
    summary="measure the checkpoints of another run",
    trains=False,
    options=lambda: build_run,
    build=build_run,
)
