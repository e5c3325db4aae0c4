"""What one call of `run` does, kept in `run.json` while it does it."""

import time
from typing import Any

from ._status import State
from ._store import Study

# A run that is killed loses at most so much of its times.
SECONDS_BETWEEN_RECORDS = 5.0


class Sitting:
    """The record of one sitting: what computed, for how long, and how it ended.

    Args:
        study: The run, begun and locked.
        provenance: Versions and machine of this sitting.
    """

    def __init__(self, study: Study, provenance: dict[str, Any]):
        self._study = study
        self._earlier = study.read_run().get("sittings", [])
        machine = {k: provenance[k] for k in ("python", "system", "device", "cores")}
        self._entry: dict[str, Any] = {
            "began": provenance["started"],
            "versions": provenance["versions"],
            "machine": machine,
            "training_s": 0.0,
            "measuring_s": 0.0,
            "cells": 0,
        }
        self._since = self._recorded = time.monotonic()
        self._part = "training_s"
        self.save("running")

    def measuring(self) -> None:
        """Count time as measuring from now on."""
        self._count()
        self._part = "measuring_s"

    def trained(self) -> None:
        """Renew the record now and then while training goes on."""
        self._save_sometimes()

    def cell(self) -> None:
        """Count one more cell that is written."""
        self._entry["cells"] += 1
        self._save_sometimes()

    def save(self, state: State, **more: Any) -> None:
        """Record the state of the run and the times so far.

        Args:
            state: The run's state from now on.
            **more: Further entries of `run.json`.
        """
        self._count()
        sittings = [*self._earlier, self._entry]
        sums = {
            name: round(sum(sitting[name] for sitting in sittings), 2)
            for name in ("training_s", "measuring_s", "cells")
        }
        entries = {"state": state, "sittings": sittings, "timing": sums, **more}
        self._study.record(entries)
        self._recorded = time.monotonic()

    def _save_sometimes(self) -> None:
        """Record a running run, unless that was done a moment ago."""
        if time.monotonic() - self._recorded > SECONDS_BETWEEN_RECORDS:
            self.save("running")

    def _count(self) -> None:
        """Add the time that has passed to the part of the run that it belongs to."""
        now = time.monotonic()
        passed = self._entry[self._part] + now - self._since
        self._entry[self._part] = round(passed, 2)
        self._since = now
