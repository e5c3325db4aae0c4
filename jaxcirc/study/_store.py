"""The result store: a run's folder, one netCDF file per measurement and step.

study.yaml            what was asked for, to be read and run again
run.json              what decides the weights, what was done when, and where
training/seed_0/…     checkpoints
training/losses.…     the loss of every update
cells/ID/step_N.nc    what a measurement gave at a step
cells/ID/once.nc      what a measurement gave that runs once, for no step
cells/ID/step_N.NAME.safetensors   an artefact of that cell, such as a mask
cells/ID/state.safetensors         where a measurement along the run has come to

Every file knows its own checksum, and every cell what it was measured of. What has
changed since is refused by name, or measured again; it is never shown.
"""

import contextlib
import json
import posixpath
from collections.abc import Mapping
from typing import Any

import fsspec
import numpy as np
import xarray as xr
import yaml
from jaxtyping import PyTree

from .._core import (
    create_folder,
    digest_of,
    dump_record,
    is_locked,
    lock_folder,
    parse_record,
    read_bytes,
    remove_unfinished,
    unknown,
    write_atomically,
)
from ..checkpoints import (
    CheckpointError,
    check_tensors,
    load_arrays,
    load_tensors,
    recorded_entry,
    recorded_hashes,
    save_tensors,
)
from ..training import read_losses
from . import _cells
from ._config import Measurement, Prepared, StudyError
from ._status import status

RUN_FILE, STUDY_FILE, REPORT_FILE = "run.json", "study.yaml", "report.html"
# Format 1 had no checksums and no sittings; it is still read.
FORMAT = 2
# Endings of a cell with numbers, and of one that says why it has none.
CELL, FAILED = ".nc", ".failed.nc"
ARTEFACT = ".safetensors"
# Where a cell is: at a step, or None for the only one of a row that runs once.
Place = int | None


class Study:
    """A run's folder, local or anywhere that fsspec reaches.

    Args:
        path: The folder.
    """

    def __init__(self, path: str):
        self.path = path.rstrip("/")
        self._fs, self._root = fsspec.core.url_to_fs(self.path)

    def __repr__(self) -> str:
        return f"Study({self.path!r})"

    @property
    def training_folder(self) -> str:
        """Where checkpoints and losses are."""
        return posixpath.join(self.path, "training")

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Hold the folder for writing while a `with` block runs.

        Raises:
            FolderLocked: another process is writing to it.
            OSError: it cannot be written.
        """
        create_folder(self.path)
        return lock_folder(self.path, who="jaxcirc")

    def begin(self, prepared: Prepared, provenance: dict[str, Any]) -> None:
        """Claim the folder for a study, or find that it is already this study's.

        What killed writes have left is removed, so nobody else may be writing.

        Raises:
            StudyError: it holds a run of another task, model or training, or a
                measurement under the same id with other options; or its record is
                damaged.
            OSError: it cannot be written.
        """
        identity = prepared.identity()
        found = self.read_run() if self._exists(RUN_FILE) else {}
        if different := _differences(found.get("identity", identity), identity):
            raise StudyError(
                f"{self.path} holds a run made with another config:\n"
                + "\n".join(different)
                + "\nWrite this one elsewhere with out=FOLDER, or delete that one."
            )
        create_folder(self.path)
        remove_unfinished(self.path)
        claims: dict[str, dict[str, Any]] = {}
        for row in prepared.in_order:
            claims[row.id] = _claim(row, claims)
            self._claim_cells(row.id, claims[row.id])
        written = prepared.config.model_dump(exclude_defaults=True)
        config = yaml.safe_dump(written, sort_keys=False, allow_unicode=True)
        write_atomically(self._join(STUDY_FILE), config.encode())
        self.record(
            {
                "format": FORMAT,
                "identity": identity,
                # A run in several sittings keeps the record of its first.
                "provenance": found.get("provenance", provenance),
                "study": written,
                "task": prepared.task.describe(),
                "rows": {row.id: list(row.places) for row in prepared.measurements},
                "steps": list(prepared.source.checkpoint_steps),
            }
        )

    def record(self, entries: dict[str, Any]) -> None:
        """Add to `run.json`."""
        run = self.read_run() if self._exists(RUN_FILE) else {}
        write_atomically(self._join(RUN_FILE), dump_record(run | entries))

    def read_run(self) -> dict[str, Any]:
        """The contents of `run.json`.

        Raises:
            StudyError: the folder holds no run, or its record is damaged.
        """
        try:
            data = read_bytes(self._join(RUN_FILE))
        except FileNotFoundError as error:
            raise StudyError(
                f"{self.path} is not a run: it has no {RUN_FILE}. Give a folder that "
                "`jaxcirc run` has written, such as runs/induction."
            ) from error
        try:
            run = parse_record(data, sealed_since=2)
            for entry in ("identity", "provenance"):
                if not isinstance(run.get(entry), dict):
                    raise ValueError(f"it lacks the entry `{entry}`")
        except ValueError as error:
            raise StudyError(
                f"{self._join(RUN_FILE)} is damaged: {error}. Restore it, or delete "
                "the folder and run the study again."
            ) from error
        return run

    def cell_steps(self, measurement: str) -> set[Place]:
        """Steps at which a measurement has been taken; None of one that runs once."""
        return self._places(measurement, CELL)

    def failed_steps(self, measurement: str) -> set[Place]:
        """Steps at which it was tried and gave no number; the next run tries again."""
        return self._places(measurement, FAILED)

    def _places(self, measurement: str, ending: str) -> set[Place]:
        folder = posixpath.join(self._root, "cells", measurement)
        if not self._fs.isdir(folder):
            return set()
        names = [posixpath.basename(path) for path in self._ls(folder)]
        stems = [n.removesuffix(ending) for n in names if n.endswith(ending)]
        # Other files, such as copies of a cell, are none of the run's.
        steps = {int(s[5:]) for s in stems if s[:5] == "step_" and s[5:].isdecimal()}
        return steps | ({None} if "once" in stems else set())

    def write_cell(
        self,
        measurement: str,
        step: Place,
        cell: xr.Dataset,
        artefacts: Mapping[str, PyTree] | None = None,
    ) -> None:
        """Save what a measurement gave at a step, or why it gave nothing.

        The cell is the commit: artefacts are written before it, and it holds their
        hashes.

        Args:
            measurement: Its id.
            step: Where; None of one that runs once.
            cell: What it gave.
            artefacts: Arrays to keep beside it, by name.

        Raises:
            OSError: the disk is full or not writable.
        """
        hashes = {
            name: digest_of(save_tensors(self._artefact(measurement, step, name), tree))
            for name, tree in (artefacts or {}).items()
        }
        if hashes:
            cell = cell.assign_attrs(artefacts=json.dumps(hashes))
        whole, failed = (self._cell(measurement, step, end) for end in (CELL, FAILED))
        write_atomically(whole if cell.data_vars else failed, _cells.pack(cell))
        if cell.data_vars and step in self.failed_steps(measurement):
            self._fs.rm(self._inner(failed))

    def remove_cell(self, measurement: str, step: Place) -> None:
        """Delete what there is of a measurement at a step, artefacts last."""
        beside = self.artefact_files(measurement, step)
        paths = [self._cell(measurement, step, ending) for ending in (CELL, FAILED)]
        for path in (self._inner(path) for path in (*paths, *beside.values())):
            if self._fs.exists(path):
                self._fs.rm(path)

    def read_cell(self, measurement: str, step: Place) -> xr.Dataset:
        """What a measurement gave at a step.

        Raises:
            CheckpointError: the file is missing, or not what was written.
        """
        return self._read(self._cell(measurement, step))

    def read_failed(self, measurement: str, step: Place) -> xr.Dataset:
        """The cell that says why a measurement gave nothing at a step.

        Raises:
            CheckpointError: the file is missing, or not what was written.
        """
        return self._read(self._cell(measurement, step, FAILED))

    def _read(self, path: str) -> xr.Dataset:
        with self._blaming(path):
            return _cells.unpack(read_bytes(path))

    def artefact(
        self, measurement: str, step: Place, name: str, like: PyTree | None = None
    ) -> PyTree:
        """An artefact of a cell.

        Args:
            measurement: The row's id.
            step: Where; None of a row that runs once.
            name: Which of the cell's artefacts.
            like: A pytree of its structure, of arrays or shapes; if None, the arrays
                come as a dict, by their names in the pytree.

        Raises:
            ValueError: the cell has no such artefact; the message names what it has.
            CheckpointError: the cell or the artefact is not what was written.
        """
        cell = self.read_cell(measurement, step)
        hashes = json.loads(cell.attrs.get("artefacts", "{}"))
        if name not in hashes:
            what = f"artefact of {measurement!r}"
            raise ValueError(f"{self.path}: {unknown(what, name, hashes)}")
        path = self._artefact(measurement, step, name)
        with self._blaming(self._cell(measurement, step)):
            if digest_of(recorded_hashes(path)) != hashes[name]:
                raise ValueError(f"its artefact {name!r} is not the one it was with")
        return load_arrays(path) if like is None else load_tensors(path, like)

    def artefact_files(self, measurement: str, step: Place) -> dict[str, str]:
        """Name -> path of the artefacts that lie beside a cell."""
        folder = posixpath.join(self._root, "cells", measurement)
        start = f"{_stem(step)}."
        names = [posixpath.basename(path) for path in self._ls(folder)]
        found = [n for n in names if n.startswith(start) and n.endswith(ARTEFACT)]
        own = {n: n.removeprefix(start).removesuffix(ARTEFACT) for n in found}
        return {own[n]: self._join(f"cells/{measurement}/{n}") for n in found}

    def stray_artefacts(self, measurement: str, places: set[Place]) -> list[str]:
        """Artefacts that killed writes have left without a cell, by their paths.

        Args:
            measurement: The row's id.
            places: Where it has cells.
        """
        folder = posixpath.join(self._root, "cells", measurement)
        stems = {_stem(place) for place in places} | {"state"}
        names = [posixpath.basename(path) for path in self._ls(folder)]
        found = [name for name in names if name.endswith(ARTEFACT)]
        strays = [name for name in found if name.partition(".")[0] not in stems]
        return [f"cells/{measurement}/{name}" for name in sorted(strays)]

    def has_state(self, measurement: str) -> bool:
        """Whether a state of a measurement along the run is saved."""
        return self._exists(f"cells/{measurement}/state{ARTEFACT}")

    def write_state(self, measurement: str, basis: str, state: PyTree) -> None:
        """Save where a measurement that goes along the run has come to.

        Args:
            measurement: Its id.
            basis: Of the last cell that the state has seen.
            state: Arrays.

        Raises:
            OSError: the disk is full or not writable.
        """
        save_tensors(self._state(measurement), state, {"basis": basis})

    def state_basis(self, measurement: str) -> str | None:
        """The basis of the last cell that the saved state has seen, if there is one.

        A file that is damaged counts as none: the state is then made again.
        """
        with contextlib.suppress(CheckpointError):
            check_tensors(self._state(measurement))
            return recorded_entry(self._state(measurement), "basis")
        return None

    def read_state(self, measurement: str, like: PyTree) -> PyTree:
        """The saved state of a measurement that goes along the run.

        Args:
            measurement: Its id.
            like: A pytree of its structure, of arrays or shapes.

        Raises:
            CheckpointError: it is missing, damaged, or of another shape.
        """
        return load_tensors(self._state(measurement), like)

    def basis(self, measurement: str, step: Place) -> str | None:
        """What a cell says that it was measured of; None of one of an older format.

        Raises:
            CheckpointError: the file is not what was written.
        """
        path = self._cell(measurement, step)
        with self._blaming(path):
            return _cells.own_attributes(read_bytes(path)).get("basis")

    @contextlib.contextmanager
    def _blaming(self, path: str):
        try:
            yield
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"cell {path} is damaged: {error}. Delete it and run the study again; "
                "only this cell is computed anew."
            ) from error

    def open(self) -> xr.DataTree:
        """All results: a node per measurement, and `training` with every loss, if any.

        Axes are `step`, `seed` and those of the measurement. The root's attributes, in
        JSON, say where the numbers come from: `study`, `identity`, `provenance`,
        `timing`, `task`, the `status` of the run, its `sittings`, and what each row has
        `mixed`, such as cells of several versions. Attributes of a node say which steps
        have `failed` and which checkpoints are `non_finite`.

        Cells of checkpoints that are no longer there, or that have changed since, are
        left out.

        Raises:
            StudyError: the folder holds no run, or its record is damaged.
            CheckpointError: a file is damaged.
        """
        run = self.read_run()
        nodes = {}
        if training := run["identity"].get("training"):
            seeds = list(range(training["seed"], training["seed"] + training["seeds"]))
            losses = read_losses(
                self.training_folder, seeds=len(seeds), steps=training["steps"]
            )
            nodes["training"] = _training_node(losses, seeds)
        study = run.get("study") or self._read_study()
        for measurement in self._measurements(study):
            joined = self._current_cells(measurement, run)
            if joined is not None:
                nodes[measurement] = joined
        tree = xr.DataTree.from_dict(nodes)
        mixed = {k: n.attrs["mixed"] for k, n in nodes.items() if "mixed" in n.attrs}
        about = {
            "study": study,
            "provenance": run["provenance"],
            "identity": run["identity"],
            "timing": run.get("timing", {}),
            "task": run.get("task", {}),
            "status": status(run, nodes, locked=self.is_locked()),
            "sittings": run.get("sittings", []),
            "mixed": {name: json.loads(text) for name, text in mixed.items()},
        }
        tree.attrs = {name: json.dumps(value) for name, value in about.items()}
        return tree

    def is_locked(self) -> bool:
        """Whether somebody is writing to the folder."""
        return is_locked(self.path)

    def _current_cells(self, measurement: str, run: Mapping) -> xr.Dataset | None:
        """The cells to show as one, those without a number by their reason."""
        taken = self.cell_steps(measurement)
        steps = taken | self.failed_steps(measurement)
        if measurement in run.get("rows", {}):
            steps &= set(run["rows"][measurement])
        if "steps" in run:
            steps &= {*run["steps"], None}
        known = run.get("checkpoints", {})

        def is_current(step: Place, basis: str | None) -> bool:
            now = known.get(str(step), {}).get("fingerprint")
            measured = json.loads(basis or "{}").get("checkpoint", now)
            return now is None or measured == now

        # What runs once has no step, and no other cell.
        ordered = [None] if None in steps else sorted(s for s in steps if s is not None)
        endings = {step: CELL if step in taken else FAILED for step in ordered}
        paths = {s: self._cell(measurement, s, end) for s, end in endings.items()}
        files = {}
        for step, path in paths.items():
            with self._blaming(path):
                files[step] = read_bytes(path)
        try:
            return _cells.join(files, keep=is_current)
        except _cells.DamagedCell as error:
            with self._blaming(paths[error.step]):
                raise
        except ValueError as error:
            raise CheckpointError(
                f"cells in {self._join(f'cells/{measurement}')} do not fit together: "
                f"{error}. Delete them and run the study again."
            ) from error

    def _read_study(self) -> dict[str, Any]:
        """`study.yaml`, of a run whose record does not hold the study itself."""
        path = self._join(STUDY_FILE)
        try:
            study = yaml.safe_load(read_bytes(path).decode())
        except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
            raise StudyError(f"{path} is damaged: {error}.") from error
        if not isinstance(study, dict):
            raise StudyError(f"{path} is damaged: it holds no mapping.")
        return study

    def _claim_cells(self, measurement: str, what: dict[str, Any]) -> None:
        folder = posixpath.join("cells", measurement)
        file = posixpath.join(folder, "measurement.json")
        create_folder(self._join(folder))
        if self._exists(file) and self.cell_steps(measurement):
            try:
                found = parse_record(read_bytes(self._join(file)), sealed_since=2)
            except ValueError as error:
                raise StudyError(
                    f"{self._join(file)} is damaged: {error}. Restore it, or delete "
                    "its folder to measure again."
                ) from error
            found.pop("format", None)
            different = _differences(found, json.loads(json.dumps(what)))
            if different:
                raise StudyError(
                    f"{self.path} holds cells of measurement {measurement!r} made with "
                    "other options:\n" + "\n".join(different) + "\nGive this one an "
                    "`id` of its own, or delete " + self._join(folder) + "."
                )
        write_atomically(self._join(file), dump_record({"format": FORMAT, **what}))

    def _measurements(self, study: Mapping) -> list[str]:
        folder = posixpath.join(self._root, "cells")
        if not self._fs.isdir(folder):
            return []
        there = {posixpath.basename(path) for path in self._ls(folder)}
        # In the study's own order; then those of earlier sittings that it has dropped.
        named = [row.get("id") or row["name"] for row in study.get("measure", [])]
        return [*(n for n in named if n in there), *sorted(there.difference(named))]

    def _ls(self, folder: str) -> list[str]:
        return self._fs.ls(folder, detail=False)

    def _join(self, name: str) -> str:
        return posixpath.join(self.path, name)

    def cell_name(self, measurement: str, step: Place, *, failed: bool) -> str:
        """Where a cell is, below the run's folder."""
        return f"cells/{measurement}/{_stem(step)}{FAILED if failed else CELL}"

    def _cell(self, measurement: str, step: Place, ending: str = CELL) -> str:
        return self._join(f"cells/{measurement}/{_stem(step)}{ending}")

    def _artefact(self, measurement: str, step: Place, name: str) -> str:
        return self._cell(measurement, step, f".{name}{ARTEFACT}")

    def _state(self, measurement: str) -> str:
        return self._join(f"cells/{measurement}/state{ARTEFACT}")

    def _exists(self, name: str) -> bool:
        return self._fs.exists(posixpath.join(self._root, name))

    def _inner(self, path: str) -> str:
        """What the file system itself calls a path of the run."""
        return fsspec.core.url_to_fs(path)[1]


def _stem(place: Place) -> str:
    """The name of a cell's file, without its ending."""
    return "once" if place is None else f"step_{place:08d}"


def _claim(row: Measurement, claims: Mapping[str, Any]) -> dict[str, Any]:
    """What decides a row's numbers beside its checkpoints: options, and what it uses.

    The records of the rows that it uses are part of its own.
    """
    claim: dict[str, Any] = {"name": row.name, "options": row.options}
    if used := {name: use for name, use in row.uses.items() if name in row.asked}:
        claim["uses"] = {
            name: {"use": str(use), **claims.get(use.of, {})}
            for name, use in used.items()
        }
    return claim


def config_hash(identity: dict[str, Any]) -> str:
    """A short name for what decides the numbers."""
    return digest_of(identity)[:12]


def _training_node(losses: np.ndarray, seeds: list[int]) -> xr.Dataset:
    coords = {"seed": seeds, "step": np.arange(losses.shape[1])}
    about = {"units": "nats", "long_name": "training loss before each update"}
    loss = xr.DataArray(losses, coords, ("seed", "step"), attrs=about)
    return xr.Dataset({"loss": loss}, attrs={"measurement": "training"})


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for key in sorted({*old, *new}):
            inner = f"{path}.{key}" if path else key
            lines += _differences(old.get(key), new.get(key), inner)
        return lines
    return [] if old == new else [f"  {path}: {old!r} there, {new!r} here"]
