"""Whether every file of a run is what was written, and what the run lacks."""

import json
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import fsspec
import yaml

from .._core import check_page, parse_record, read_bytes, unfinished_files
from ..checkpoints import CheckpointError, check_tensors, open_trajectory
from ._logged import FOLDER as TRACKED
from ._store import REPORT_FILE, STUDY_FILE, Place, RowFolder, Study


class Fault(NamedTuple):
    """A file that is not what it should be.

    Args:
        path: The file, below the run's folder.
        what: What is wrong with it, as the end of a sentence.
        removable: Whether the next run is better off without it.
        repaired: Whether it has been deleted.
    """

    path: str
    what: str
    removable: bool = False
    repaired: bool = False


class Checked(NamedTuple):
    """What a check has found.

    Args:
        faults: Files that are damaged, orphaned or unfinished.
        notes: Sentences on what is as it was written but worth knowing, such as mixed
            versions.
        files: Number of files that were read and are whole.
        state: The state of the run, as in its status; `damaged` if a fault is left.
    """

    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    files: int
    state: str

    @property
    def summary(self) -> str:
        """One line on the whole."""
        wrong = len(self.faults)
        return f"the run is {self.state}, {wrong or 'no'} fault{'s' * (wrong != 1)}"


def check_run(path: str, *, repair: bool = False) -> Checked:
    """Read every file of a run and compare it with its checksum and its record.

    Cells, their artefacts and states, checkpoints, the losses, the report and the
    records are read whole, so the check takes as long as reading the folder. Nothing is
    written unless it repairs.

    Args:
        path: The run's folder.
        repair: Delete what only hinders the next run: damaged and orphaned cells, and
            what killed writes have left. Checkpoints and records are never deleted.

    Returns:
        The faults, each with what it is; notes; and the state of the run.

    Raises:
        StudyError: the folder holds no run, or `run.json` itself is damaged.
        FolderLocked: it is to be repaired while another process writes to it.
        OSError: it cannot be read, or not written to.
    """
    study = Study(path)
    if repair:
        with study.lock():
            return _check(study, repair=True)
    return _check(study, repair=False)


def _check(study: Study, *, repair: bool) -> Checked:
    """What a check finds, after deleting what is to be deleted."""
    run = study.read_run()
    faults, files = [], 1
    for fault in _faults(study, run):
        if fault is None:
            files += 1
            continue
        if repair and fault.removable:
            study.folder.remove(fault.path)
            fault = fault._replace(repaired=True)
        faults.append(fault)
    if any(not fault.repaired for fault in faults):
        # Its results would be refused, so there is nothing to note of them.
        return Checked(tuple(faults), (), files, "damaged")
    tree = study.open()
    told = json.loads(tree.attrs["status"])
    return Checked(tuple(faults), tuple(_notes(tree.attrs)), files, told["state"])


def _notes(attrs: Mapping[Any, Any]) -> Iterator[str]:
    """Sentences on cells that failed, are missing, or are of several versions."""
    status = json.loads(attrs["status"])
    for row, n in status["failed"].items():
        yield f"{row}: failed at {n} steps"
    for row, n in status["missing"].items():
        yield f"{row}: {n} steps are not measured"
    for row, packages in json.loads(attrs["mixed"]).items():
        for package, counts in packages.items():
            parts = ", ".join(f"{n} by {version}" for version, n in counts.items())
            yield f"{row}: its cells are of several versions of {package}: {parts}"


def _faults(study: Study, run: Mapping[str, Any]) -> Iterator[Fault | None]:
    """A fault for each file that has one, None for each that is as it was written."""
    _, root = fsspec.core.url_to_fs(study.path)
    for full in unfinished_files(study.path):
        name = full.removeprefix(root).lstrip("/")
        yield Fault(name, "a write that was killed left this", removable=True)
    yield _study_fault(study, run)
    if study.folder.exists(REPORT_FILE):
        yield _page_fault(study)
    for name in study.folder.names(TRACKED):
        if name.endswith(".json"):
            yield _record_fault(study, f"{TRACKED}/{name}")
    for name in study.rows:
        row = study.row(name)
        yield _record_fault(study, f"cells/{name}/measurement.json")
        places = row.steps | row.failed_steps
        for place in sorted(places, key=lambda p: -1 if p is None else p):
            yield _cell_fault(row, run, place)
        yield from _beside_faults(study, row, places)
    yield from _training_faults(study, run)


def _study_fault(study: Study, run: Mapping[str, Any]) -> Fault | None:
    """A fault if the study file is not the study that the run records."""
    try:
        found = yaml.safe_load(read_bytes(posixpath.join(study.path, STUDY_FILE)))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        return Fault(STUDY_FILE, f"it cannot be read: {error}")
    if "study" in run and found != run["study"]:
        return Fault(STUDY_FILE, "it is not the study that run.json records")
    return None


def _page_fault(study: Study) -> Fault | None:
    """A fault if the report is not as it was written."""
    try:
        check_page(read_bytes(posixpath.join(study.path, REPORT_FILE)))
    except (OSError, ValueError) as error:
        return Fault(REPORT_FILE, f"{error}; write it again with `jaxcirc report`")
    return None


def _record_fault(study: Study, name: str) -> Fault | None:
    """A fault if a record does not have its checksum."""
    try:
        parse_record(read_bytes(posixpath.join(study.path, name)), sealed_since=2)
    except (OSError, ValueError) as error:
        return Fault(name, f"it is damaged: {error}")
    return None


def _cell_fault(row: RowFolder, run: Mapping[str, Any], step: Place) -> Fault | None:
    """A fault if a cell is damaged, or was measured of what is no longer there."""
    failed = step not in row.steps
    name = row.file(step, failed=failed)
    try:
        cell = row.read(step, failed=failed)
    except CheckpointError as error:
        return Fault(name, f"it is damaged: {error.__cause__}", removable=True)
    for artefact in json.loads(cell.attrs.get("artefacts", "{}")):
        try:
            row.artefact(step, artefact)
        except CheckpointError as error:
            return Fault(name, f"its artefact {artefact!r}: {error}", removable=True)
    if "steps" in run and step not in (*run["steps"], None):
        return Fault(name, "its checkpoint is no longer there", removable=True)
    # Runs of earlier versions record no fingerprints, and are not at fault for it.
    now = run.get("checkpoints", {}).get(str(step), {}).get("fingerprint")
    basis = json.loads(cell.attrs.get("basis", "{}")).get("checkpoint", now)
    if now is not None and basis != now:
        what = "it was measured of another checkpoint than there is now"
        return Fault(name, what, removable=True)
    return None


def _beside_faults(
    study: Study, row: RowFolder, places: set[Place]
) -> Iterator[Fault | None]:
    """Faults of what lies beside a row's cells: a state, and artefacts of no cell."""
    for name in row.stray_artefacts(places):
        yield Fault(name, "an artefact of a cell that is not there", removable=True)
    if row.state.exists:
        fault = _tensors_fault(study, row.state.file)
        # Without it the row is measured from its first step on.
        yield None if fault is None else fault._replace(removable=True)


def _training_faults(study: Study, run: Mapping[str, Any]) -> Iterator[Fault | None]:
    """Faults of losses, of the state to go on from, and of checkpoints."""
    training = run["identity"].get("training")
    if not training:
        return
    for file in ("losses.safetensors", "state.safetensors"):
        yield _tensors_fault(study, f"training/{file}")
    for seed in range(training["seed"], training["seed"] + training["seeds"]):
        folder = f"training/seed_{seed}"
        try:
            trajectory = open_trajectory(posixpath.join(study.path, folder))
        except CheckpointError as error:
            yield Fault(f"{folder}/trajectory.json", str(error))
            continue
        yield None
        for step in trajectory.steps:
            try:
                trajectory.load(step)
            except CheckpointError as error:
                yield Fault(f"{folder}/step_{step:08d}.safetensors", str(error))
            else:
                yield None


def _tensors_fault(study: Study, name: str) -> Fault | None:
    """A fault if a file's tensors are not those that were written."""
    try:
        check_tensors(posixpath.join(study.path, name))
    except CheckpointError as error:
        return Fault(name, str(error))
    return None
