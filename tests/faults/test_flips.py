"""A flipped bit, in any file of a run, is noticed or changes nothing."""

import pathlib

import numpy as np
import pytest
import xarray as xr

from jaxcirc._core import named_leaves, seal_page, write_atomically
from jaxcirc.checkpoints import open_trajectory
from jaxcirc.report import render
from jaxcirc.study import Study, check_run, prepare, run, with_changes

from ..study.conftest import TINY


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from jaxcirc.study import load_config

    here = tmp_path_factory.mktemp("flips")
    (here / "tiny.yaml").write_text(TINY)
    fails = "{name: gradients, n_examples: 1000000000000000000}"
    rows = f"measure=[weights, weight_path, {fails}]"
    out = f"out={here / 'run'}"
    study = run(prepare(load_config(str(here / "tiny.yaml"), [rows, out])))
    page = seal_page(render(with_changes(study.open())))
    write_atomically(str(here / "run/report.html"), page)
    return here / "run"


def kinds(folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """Files by kind: their name without the step."""
    found: dict[str, list[pathlib.Path]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.name != "run.lock":
            kind = "".join(c for c in path.name if not c.isdigit())
            found.setdefault(kind, []).append(path)
    return found


def results(folder: pathlib.Path):
    tree = Study(str(folder)).open()
    trajectory = open_trajectory(str(folder / "training/seed_0"))
    return tree, [named_leaves(trajectory.load(step)) for step in trajectory.steps]


def equal(one, two) -> bool:
    trees = all(
        one[0][name].to_dataset().identical(two[0][name].to_dataset())
        for name in {*one[0].children, *two[0].children}
    )
    models = all(
        np.array_equal(a[name], b[name])
        for a, b in zip(one[1], two[1], strict=True)
        for name in a
    )
    return trees and models and one[0].attrs == two[0].attrs


def flip_many(folder: pathlib.Path, number: int, seed: int) -> dict[str, int]:
    """Flips in each kind of file alike; returns how many of each were noticed."""
    rng, before = np.random.default_rng(seed), results(folder)
    files = kinds(folder)
    noticed = dict.fromkeys(files, 0)
    for i in range(number):
        kind = list(files)[i % len(files)]
        path = files[kind][rng.integers(len(files[kind]))]
        data = path.read_bytes()
        changed = bytearray(data)
        changed[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(changed))
        try:
            told = bool(check_run(str(folder)).faults)
        except ValueError:
            told = True
        try:
            # Nobody has to have checked: what is read is right, or it is refused.
            same = equal(results(folder), before)
        except ValueError:
            same = told = True
        path.write_bytes(data)
        assert same, f"{path.name}: other results without a word"
        noticed[kind] += told
    return noticed


def test_a_run_has_every_kind_of_file(folder):
    assert set(kinds(folder)) == {
        "run.json",
        "study.yaml",
        "report.html",
        "measurement.json",
        "step_.nc",
        "step_.failed.nc",
        "trajectory.json",
        "step_.safetensors",
        "losses.safetensors",
        "state.safetensors",
    }
    assert isinstance(results(folder)[0], xr.DataTree)


def test_some_flips_are_noticed(folder):
    flip_many(folder, 20, seed=0)


@pytest.mark.slow
def test_a_thousand_flips_give_no_other_result(folder):
    noticed = flip_many(folder, 1000, seed=1)
    assert sum(noticed.values()) > 900, noticed
