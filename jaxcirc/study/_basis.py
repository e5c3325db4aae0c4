"""What a cell was measured of: when that changes, the cell is no longer its result."""

import importlib.metadata
import json
from collections.abc import Iterable, Mapping, Sequence

from .._core import digest_of
from ..checkpoints import CheckpointError, Trajectory
from ._measurements import AbstractMeasurement
from ._reference import reference_steps


class Fingerprints:
    """Short names of what checkpoints hold, each found once.

    Args:
        trajectories: One per seed, with the same steps.
        known: Step -> `stamp` and `fingerprint`, as an earlier sitting has found them.
            A file that looks untouched since then is not read again.
    """

    def __init__(
        self,
        trajectories: Sequence[Trajectory],
        known: Mapping[int, Mapping[str, str | None]],
    ):
        self._trajectories = trajectories
        self._known = dict(known)
        self._found: dict[int, dict[str, str | None]] = {}

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps that there are."""
        return self._trajectories[0].steps

    def of(self, step: int) -> str:
        """The name of one step, of all seeds together."""
        if step not in self._found:
            stamp = self._stamp(step)
            known = self._known.get(step)
            same = known is not None and stamp is not None and known["stamp"] == stamp
            name = known["fingerprint"] if same and known else None
            name = name or fingerprint(self._trajectories, [step])
            self._found[step] = {"stamp": stamp, "fingerprint": name}
        return str(self._found[step]["fingerprint"])

    def record(self) -> dict[str, Mapping[str, str | None]]:
        """All that is known of the steps that there are, to be given again later."""
        both = self._known | self._found
        return {str(s): both[s] for s in sorted(both) if s in self.steps}

    def _stamp(self, step: int) -> str | None:
        try:
            stamps = [trajectory.stamp(step) for trajectory in self._trajectories]
        except CheckpointError:
            return None
        return None if None in stamps else digest_of(stamps)


def fingerprint(trajectories: Sequence[Trajectory], steps: Iterable[int]) -> str:
    """A short name for what some checkpoints of several seeds hold."""
    names = []
    for step in steps:
        for trajectory in trajectories:
            try:
                names.append([step, trajectory.fingerprint(step)])
            except CheckpointError:
                # It will be measured again once it can be read.
                names.append([step, "unreadable"])
    return digest_of(names)


class Basis:
    """What each cell of a measurement depends on; a cell with another is out of date.

    That is its checkpoint; the one before, where the measurement looks back; its
    reference, with all of its steps; and the version of this library, which decides
    what a measurement means. Other libraries move last digits alone: cells of several
    versions stay, and the report names them.

    Args:
        measure: The measurement.
        wanted: Its steps.
        trajectories: This run's, one per seed.
        fingerprints: Of this run's checkpoints.
    """

    def __init__(
        self,
        measure: AbstractMeasurement,
        wanted: Sequence[int],
        trajectories: Sequence[Trajectory],
        fingerprints: Fingerprints,
    ):
        others, steps = reference_steps(measure, wanted, trajectories)
        self._reference = fingerprint(others, steps) if steps else None
        self._fingerprints = fingerprints
        every = fingerprints.steps
        before = dict(zip(every[1:], every, strict=False))
        self._before = before if measure.needs_previous else {}

    def of(self, step: int) -> str:
        """The basis of the cell at a step, as JSON."""
        before = self._before.get(step)
        return json.dumps(
            {
                "checkpoint": self._fingerprints.of(step),
                "previous": None if before is None else self._fingerprints.of(before),
                "reference": self._reference,
                "jaxcirc": importlib.metadata.version("jaxcirc"),
            }
        )
