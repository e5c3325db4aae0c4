"""How the files of a run are called."""

RUN_FILE, STUDY_FILE, REPORT_FILE = "run.json", "study.yaml", "report.html"
CELLS, TRAINING = "cells", "training"
# Inside a row's folder: what its cells were made with.
CLAIM_FILE = "measurement.json"
# Endings of a cell with numbers, and of one that says why it has none.
CELL, FAILED = ".nc", ".failed.nc"
ARTEFACT = ".safetensors"
STATE = "state"
# Where a cell is: at a step, or None for the only one of a row that runs once.
Place = int | None


def stem(place: Place) -> str:
    """The name of a cell's file, without its ending."""
    return "once" if place is None else f"step_{place:08d}"


def place_of(stem: str) -> tuple[Place, bool]:
    """The inverse of `stem`, and whether the name is one of a cell at all.

    Other files in the folder, such as copies of a cell, are none of the run's.
    """
    if stem == "once":
        return None, True
    is_cell = stem[:5] == "step_" and stem[5:].isdecimal()
    return (int(stem[5:]) if is_cell else None), is_cell
