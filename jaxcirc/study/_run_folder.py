"""The checkpoints in the folder of a run: one trajectory for each seed."""

import posixpath

import fsspec

from ..checkpoints import CheckpointError, Trajectory, open_trajectory


def seeds_of_run(folder: str) -> dict[int, Trajectory]:
    """The trajectories of a run by seed, in order; none if the folder holds no run.

    Args:
        folder: What `jaxcirc run` has written, such as `runs/induction`.

    Raises:
        ValueError: a trajectory is damaged.
    """
    training = posixpath.join(folder, "training")
    fs, root = fsspec.core.url_to_fs(training)
    found = fs.ls(root, detail=False) if fs.isdir(root) else []
    names = [posixpath.basename(path) for path in found]
    # By number: as text, seed 10 would come before seed 2.
    seeds = sorted(int(n[5:]) for n in names if n[:5] == "seed_" and n[5:].isdecimal())
    try:
        return {
            s: open_trajectory(posixpath.join(training, f"seed_{s}")) for s in seeds
        }
    except CheckpointError as error:
        raise ValueError(f"{folder!r}: {error}") from error
