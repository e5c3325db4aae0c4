"""The result store: a run's folder, one netCDF file per measurement and step.

study.yaml            what was asked for
run.json              what decides the weights, and where they were made
training/seed_0/…     checkpoints
training/losses.…     the loss of every update
cells/ID/step_N.nc    what a measurement gave at a step
"""

import hashlib
import io
import json
import posixpath
from typing import Any

import fsspec
import numpy as np
import xarray as xr
import yaml

from .._core import create_folder, write_atomically
from ..checkpoints import CheckpointError
from ..training import read_losses
from ._config import Prepared, StudyError

RUN_FILE = "run.json"
# Endings of a cell with numbers, and of one that says why it has none.
CELL, FAILED = ".nc", ".failed.nc"


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

    def begin(self, prepared: Prepared, provenance: dict[str, Any]) -> None:
        """Claim the folder for a study, or find that it is already this study's.

        Raises:
            StudyError: it holds a run of another task, model or training, or a
                measurement under the same id with other options.
            OSError: it cannot be written.
        """
        identity = prepared.identity()
        if self._exists(RUN_FILE):
            found = self.read_run()
            different = _differences(found["identity"], identity)
            if different:
                raise StudyError(
                    f"{self.path} holds a run made with another config:\n"
                    + "\n".join(different)
                    + "\nWrite this one elsewhere with out=FOLDER, or delete that one."
                )
            # A run in several sittings keeps the record of its first.
            provenance = found["provenance"]
        else:
            create_folder(self.path)
        for row in prepared.measurements:
            self._claim_cells(row.id, {"name": row.name, "options": row.options})
        written = prepared.config.model_dump(exclude_defaults=True)
        config = yaml.safe_dump(written, sort_keys=False)
        write_atomically(self._join("study.yaml"), config.encode())
        self.record({"identity": identity, "provenance": provenance})

    def record(self, entries: dict[str, Any]) -> None:
        """Add to `run.json`."""
        run = self.read_run() if self._exists(RUN_FILE) else {}
        data = json.dumps(run | entries, indent=1)
        write_atomically(self._join(RUN_FILE), data.encode())

    def read_run(self) -> dict[str, Any]:
        """The contents of `run.json`.

        Raises:
            StudyError: the folder holds no run, or its record is damaged.
        """
        try:
            return json.loads(self._fs.cat_file(posixpath.join(self._root, RUN_FILE)))
        except FileNotFoundError as error:
            raise StudyError(
                f"{self.path} is not a run: it has no {RUN_FILE}. Give a folder that "
                "`jaxcirc run` has written, such as runs/induction."
            ) from error
        except ValueError as error:
            raise StudyError(f"{self._join(RUN_FILE)} is damaged: {error}.") from error

    def cell_steps(self, measurement: str) -> set[int]:
        """Steps at which a measurement has been taken."""
        return self._steps(measurement, CELL)

    def failed_steps(self, measurement: str) -> set[int]:
        """Steps at which it was tried and gave no number; the next run tries again."""
        return self._steps(measurement, FAILED)

    def _steps(self, measurement: str, ending: str) -> set[int]:
        folder = posixpath.join(self._root, "cells", measurement)
        if not self._fs.isdir(folder):
            return set()
        names = [posixpath.basename(path) for path in self._fs.ls(folder, detail=False)]
        parts = [name.partition(".") for name in names]
        return {
            int(stem[5:])
            for stem, dot, rest in parts
            if stem.startswith("step_") and dot + rest == ending
        }

    def write_cell(self, measurement: str, step: int, cell: xr.Dataset) -> None:
        """Save what a measurement gave at a step, or why it gave nothing."""
        data = cell.to_netcdf(engine="h5netcdf")
        failed = self._cell(measurement, step, FAILED)
        if not cell.data_vars:
            write_atomically(failed, data)
            return
        write_atomically(self._cell(measurement, step), data)
        if step in self.failed_steps(measurement):
            self._fs.rm(failed)

    def read_cell(self, measurement: str, step: int) -> xr.Dataset:
        """What a measurement gave at a step.

        Raises:
            CheckpointError: the file is damaged.
        """
        return self._read_cell(self._cell(measurement, step))

    def _read_cell(self, path: str) -> xr.Dataset:
        try:
            with fsspec.open(path, "rb") as file:
                data: bytes = file.read()  # pyright: ignore
            return xr.load_dataset(io.BytesIO(data), engine="h5netcdf")
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"cell {path} is damaged: {error}. Delete it and run the study again; "
                "only this cell is computed anew."
            ) from error

    def open(self) -> xr.DataTree:
        """All results: a node per measurement, and `training` with every loss, if any.

        Axes are `step`, `seed` and those of the measurement; the root's attributes say
        where the numbers come from.

        Raises:
            StudyError: the folder holds no run.
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
        for measurement in self._measurements():
            taken = self.cell_steps(measurement)
            steps = sorted(taken | self.failed_steps(measurement))
            endings = {step: CELL if step in taken else FAILED for step in steps}
            cells = {
                step: self._read_cell(self._cell(measurement, step, ending))
                for step, ending in endings.items()
            }
            if cells:
                nodes[measurement] = _concat(cells)
        tree = xr.DataTree.from_dict(nodes)
        tree.attrs = {
            "study": json.dumps(yaml.safe_load(self._read_text("study.yaml"))),
            "provenance": json.dumps(run["provenance"]),
            "identity": json.dumps(run["identity"]),
            "timing": json.dumps(run.get("timing", {})),
            "task": json.dumps(run.get("task", {})),
        }
        return tree

    def _claim_cells(self, measurement: str, what: dict[str, Any]) -> None:
        folder = posixpath.join("cells", measurement)
        file = posixpath.join(folder, "measurement.json")
        create_folder(self._join(folder))
        if self._exists(file) and self.cell_steps(measurement):
            found = json.loads(self._read_text(file))
            different = _differences(found, json.loads(json.dumps(what)))
            if different:
                raise StudyError(
                    f"{self.path} holds cells of measurement {measurement!r} made with "
                    "other options:\n" + "\n".join(different) + "\nGive this one an "
                    "`id` of its own, or delete " + self._join(folder) + "."
                )
        write_atomically(self._join(file), json.dumps(what).encode())

    def _measurements(self) -> list[str]:
        folder = posixpath.join(self._root, "cells")
        if not self._fs.isdir(folder):
            return []
        there = {posixpath.basename(path) for path in self._ls(folder)}
        # In the study's own order; then those of earlier sittings that it has dropped.
        rows = yaml.safe_load(self._read_text("study.yaml"))["measure"]
        named = [row.get("id") or row["name"] for row in rows]
        return [*(n for n in named if n in there), *sorted(there.difference(named))]

    def _ls(self, folder: str) -> list[str]:
        return self._fs.ls(folder, detail=False)

    def _join(self, name: str) -> str:
        return posixpath.join(self.path, name)

    def _cell(self, measurement: str, step: int, ending: str = CELL) -> str:
        return self._join(f"cells/{measurement}/step_{step:08d}{ending}")

    def _exists(self, name: str) -> bool:
        return self._fs.exists(posixpath.join(self._root, name))

    def _read_text(self, name: str) -> str:
        return self._fs.cat_file(posixpath.join(self._root, name)).decode()


def config_hash(identity: dict[str, Any]) -> str:
    """A short name for what decides the numbers."""
    data = json.dumps(identity, sort_keys=True).encode()
    return hashlib.blake2b(data, digest_size=6).hexdigest()


def _training_node(losses: np.ndarray, seeds: list[int]) -> xr.Dataset:
    coords = {"seed": seeds, "step": np.arange(losses.shape[1])}
    about = {"units": "nats", "long_name": "training loss before each update"}
    loss = xr.DataArray(losses, coords, ("seed", "step"), attrs=about)
    return xr.Dataset({"loss": loss}, attrs={"measurement": "training"})


def _concat(cells: dict[int, xr.Dataset]) -> xr.Dataset:
    """Cells in one; those without a number are left out, and why is kept."""
    failed = {k: c.attrs.pop("failed") for k, c in cells.items() if "failed" in c.attrs}
    whole = {step: cell for step, cell in cells.items() if cell.data_vars}
    if whole:
        step = xr.DataArray(list(whole), dims="step", name="step")
        made = xr.concat(
            list(whole.values()),
            step,
            data_vars="all",
            join="exact",
            combine_attrs="override",
        )
    else:
        made = xr.Dataset(attrs=next(iter(cells.values())).attrs)
    if failed:
        made.attrs["failed"] = json.dumps(failed)
    return made


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for key in sorted({*old, *new}):
            inner = f"{path}.{key}" if path else key
            lines += _differences(old.get(key), new.get(key), inner)
        return lines
    return [] if old == new else [f"  {path}: {old!r} there, {new!r} here"]
