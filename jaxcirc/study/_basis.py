"""What a cell was measured of: when that changes, the cell is no longer its result."""

import importlib.metadata
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._core import digest_of
from ..checkpoints import CheckpointError, Trajectory
from ._config import Measurement
from ._measurements import AlongRun, Once, Use
from ._store import Place
from ._uses import step_of, used_checkpoints


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
        """Steps that have a checkpoint."""
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
        """A name that changes with a step's files, or None where there is none."""
        try:
            stamps = [trajectory.stamp(step) for trajectory in self._trajectories]
        except CheckpointError:
            return None
        return None if None in stamps else digest_of(stamps)


def fingerprint(trajectories: Sequence[Trajectory], steps: Iterable[int]) -> str:
    """A short name for what some checkpoints of several seeds hold.

    Args:
        trajectories: One per seed.
        steps: The checkpoints. One that cannot be read counts as `unreadable`.
    """
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
    """What each cell of a row depends on; a cell with another is out of date.

    That is its checkpoint; the one before, where the measurement looks back; all that
    it uses; for a row that goes along the run, everything before; and the version of
    this library, which decides what a measurement means. Other libraries move last
    digits alone: cells of several versions stay, and the report names them.

    Args:
        row: The row.
        wanted: Its steps; none of a row that runs once.
        others: The bases of the rows that it uses, by id.
        trajectories: This run's, one per seed.
        fingerprints: Of this run's checkpoints.

    Raises:
        ValueError: it uses a run that is not there.
    """

    def __init__(
        self,
        row: Measurement,
        wanted: Sequence[int],
        others: Mapping[str, "Basis"],
        trajectories: Sequence[Trajectory],
        fingerprints: Fingerprints,
    ):
        self.steps = tuple(wanted)
        self.has_steps = not isinstance(row.measure, Once)
        self._fingerprints = fingerprints
        self._same: dict[str, Basis] = {}
        self._used: dict[str, str] = {}
        for name, use in row.uses.items():
            if use.is_model:
                where, steps = used_checkpoints(name, use, wanted, trajectories)
                self._used[name] = fingerprint(where, steps)
            elif use.at == "same" and others[use.of].has_steps:
                self._same[name] = others[use.of]
            else:
                self._used[name] = others[use.of].over(use)
        every = fingerprints.steps
        before = dict(zip(every[1:], every, strict=False))
        self._before = before if row.measure.needs_previous else {}
        # A state has seen every checkpoint before, so its cell depends on all of them.
        along = isinstance(row.measure, AlongRun)
        self._chain = dict(zip(wanted[1:], wanted, strict=False)) if along else None
        self._found: dict[Place, str] = {}

    @property
    def places(self) -> tuple[Place, ...]:
        """The steps of the row's cells in order, or None alone if it runs once."""
        return self.steps if self.has_steps else (None,)

    def of(self, place: Place) -> str:
        """The basis of the cell at a step, or of the only one, as JSON."""
        if self._chain is not None:
            # In order, so that a long chain is no deep recursion.
            for step in self.steps:
                if step not in self._found:
                    self._found[step] = self._of(step)
        if place not in self._found:
            self._found[place] = self._of(place)
        return self._found[place]

    def over(self, use: Use) -> str:
        """A short name for the basis of what another row uses of this one."""
        if not self.has_steps:
            return digest_of(self.of(None))
        steps = self.steps if use.at == "all" else [step_of(use, self.steps)]
        return digest_of([self.of(step) for step in steps])

    def _of(self, place: Place) -> str:
        """The basis of one cell, whose predecessors along the run are known."""
        before = None if place is None else self._before.get(place)
        name = self._fingerprints.of
        used = self._used | {k: digest_of(b.of(place)) for k, b in self._same.items()}
        basis: dict[str, Any] = {
            "checkpoint": None if place is None else name(place),
            "previous": None if before is None else name(before),
            "reference": used.pop("reference", None),
            "jaxcirc": importlib.metadata.version("jaxcirc"),
        }
        if used:
            basis["uses"] = used
        if self._chain is not None and place in self._chain:
            basis["along"] = digest_of(self._found[self._chain[place]])
        return json.dumps(basis)
