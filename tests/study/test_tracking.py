"""What a tracker is given is what the results hold, and each cell once."""

import csv
import importlib.util
import json
import math
import struct

import numpy as np
import pytest
import xarray as xr

from jaxcirc.study import (
    TRACKERS,
    AbstractTracker,
    Study,
    StudyError,
    Tracking,
    TrackingWarning,
    check_run,
    prepare,
    run,
)
from jaxcirc.study._config import Track
from jaxcirc.study._scalars import scalars


def stored(study: Study) -> dict[tuple[int, str], float]:
    """(step, name) -> number, of all cells of a run."""
    found = {}
    for name in study.rows:
        row = study.row(name)
        for step in row.steps:
            of_step = scalars(name, row.read(step))
            found |= {(step, k): v for k, v in of_step.items()}
    return found


def lines(path) -> list[tuple[int, str, float]]:
    """The lines of a CSV file of numbers."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return [(int(r["step"]), r["name"], float(r["value"])) for r in rows]


def same(found, study: Study, kind=float):
    """Each number of the store once, and nothing else."""
    once = {(step, name): value for step, name, value in found}
    assert len(once) == len(found)
    expected = stored(study)
    assert once.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_equal(kind(once[key]), kind(value))


class Kept(AbstractTracker):
    """A tracker that keeps what it is given, and fails when it is told to."""

    def __init__(self):
        self.calls, self.events, self.fails_at = [], [], None

    def start(self, run, state):
        self.events.append("start")

    def write(self, step, values):
        if len(self.calls) == self.fails_at:
            raise RuntimeError("the network is gone")
        self.calls.append((step, dict(values)))

    def page(self, path):
        self.events.append(f"page {path.name}")

    def close(self):
        self.events.append("close")

    @property
    def found(self):
        return [(s, name, x) for s, some in self.calls for name, x in some.items()]


@pytest.fixture
def watched(ran):
    """The tiny study, which has run, with a tracker that it has not had until now."""
    prepared, study = ran
    kept = Kept()
    return prepared._replace(track=Track("kept", kept)), study, kept


def test_names_say_row_quantity_and_places():
    cell = xr.Dataset(
        {
            "score": (
                ("seed", "site", "head"),
                np.array([[[1.0, np.nan]]], np.float32),
            ),
            "draws": (("seed", "draw"), np.zeros((1, 3)), {"role": "detail"}),
            "code": (("seed",), np.array([2])),
            "wide": (("seed", "edge"), np.zeros((1, 5000))),
        },
        {"site": ["attn/z"], "head": [0, 4]},
    )
    found = scalars("probe", cell)
    assert list(found) == [
        "probe/score/attn|z/head_0",
        "probe/score/attn|z/head_4",
        "probe/code",
    ]
    assert math.isnan(found["probe/score/attn|z/head_4"])
    assert {type(x) for x in found.values()} == {float}


def test_several_seeds_each_have_a_name():
    cell = xr.Dataset({"loss": (("seed",), [0.5, 0.25])}, {"seed": [3, 4]})
    assert scalars("p", cell) == {"p/loss/seed_3": 0.5, "p/loss/seed_4": 0.25}


def test_a_run_that_is_there_is_tracked_later_in_order_of_steps(watched):
    prepared, study, kept = watched
    run(prepared)
    assert [step for step, _ in kept.calls] == [0, 1, 2, 4, 8]
    assert kept.events == ["start", "close"]
    same(kept.found, study)


def test_tracking_is_no_part_of_a_run_and_nothing_is_measured_again(tiny, watched):
    prepared, study, _ = watched
    before = study.read_run()["identity"]
    run(prepared)
    run(prepare(tiny("track=csv")))
    after = study.read_run()
    assert after["identity"] == before
    assert [sitting["cells"] for sitting in after["sittings"]][1:] == [0, 0]


def test_nothing_is_given_twice(watched):
    prepared, study, kept = watched
    run(prepared)
    run(prepared)
    study.row("weights").remove(4)
    run(prepared)
    same(kept.found, study)
    assert kept.events == ["start", "close"]


def test_a_step_that_is_measured_later_is_given_later(tiny, watched):
    prepared, study, kept = watched
    study.row("weights").remove(0)
    study.row("performance").remove(0)
    narrow = prepare(tiny("steps=[4,8]"))
    run(narrow._replace(track=prepared.track))
    run(prepared)
    # Those that are there come first, then the one that is measured anew.
    assert [step for step, _ in kept.calls] == [4, 8, 1, 2, 0]
    same(kept.found, study)


def test_a_tracker_that_fails_is_told_once_and_gets_the_rest_later(watched):
    prepared, study, kept = watched
    kept.fails_at = 1
    with pytest.warns(TrackingWarning, match="the network is gone") as told:
        run(prepared)
    assert len(told) == 1
    assert json.loads(study.open().attrs["status"])["state"] == "complete"
    kept.fails_at = None
    run(prepared)
    same(kept.found, study)


def test_a_kill_before_the_record_sends_nothing_twice(watched, monkeypatch):
    prepared, study, kept = watched
    given = kept.write

    def killed(step, values):
        given(step, values)
        raise KeyboardInterrupt

    monkeypatch.setattr(kept, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        run(prepared)
    monkeypatch.undo()
    run(prepared)
    same(kept.found, study)


def test_the_page_is_given_once_at_the_end(watched, tmp_path):
    prepared, _, kept = watched
    page = tmp_path / "report.html"
    page.write_text("<html>")
    for _ in range(2):
        with Tracking(prepared) as tracking:
            run(prepared, tracking=tracking)
            tracking.page(str(page))
    assert kept.events == ["start", "page report.html", "close"]


def test_csv_holds_what_the_store_holds_after_a_kill(tiny, ran, monkeypatch):
    _, study = ran
    prepared = prepare(tiny("track=csv"))
    writer = type(prepared.track.tracker)
    path = f"{study.path}/tracking/tiny.csv"
    given = writer.write

    def killed(self, step, values):
        given(self, step, values)
        if step == 4:
            # A line was cut off, and none of this step is recorded.
            self._file.write("4,weights/no")
            self._file.flush()
            raise KeyboardInterrupt

    monkeypatch.setattr(writer, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        run(prepared)
    monkeypatch.undo()
    run(prepare(tiny("track=csv")))
    same(lines(path), study)
    assert check_run(study.path).faults == ()


def test_csv_keeps_what_is_not_finite_and_steps_out_of_order(tmp_path):
    from jaxcirc.study import TrackedRun

    (spec,) = (row for row in TRACKERS.own if row.name == "csv")
    tracker = spec.build()
    tracker.start(TrackedRun("s", str(tmp_path), {}), {})
    tracker.write(100, {"a/b": math.nan, "a/c": -math.inf})
    tracker.write(50, {"a/b": 1 / 3})
    tracker.write(None, {"a/once": 2.0})
    tracker.close()
    text = (tmp_path / "tracking" / "s.csv").read_text().splitlines()
    assert text == [
        "step,name,value",
        "100,a/b,nan",
        "100,a/c,-inf",
        "50,a/b,0.3333333333333333",
        ",a/once,2.0",
    ]


def test_a_csv_file_that_is_gone_is_told_and_can_be_made_again(tiny, ran):
    _, study = ran
    run(prepare(tiny("steps=[4,8]", "track=csv")))
    study.folder.remove("tracking/tiny.csv")
    with pytest.warns(TrackingWarning, match=r"delete .*csv\.json to write all"):
        run(prepare(tiny("track=csv")))
    study.folder.remove("tracking/csv.json")
    run(prepare(tiny("track=csv")))
    same(lines(f"{study.path}/tracking/tiny.csv"), study)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("track=wandbb", "wandb.*tensorboard.*csv"),
        ("track={name: csv, foldr: x}", "track.foldr: .*folder"),
        ("track={name: wandb, mode: sometimes}", "track.mode: "),
        ("track={project: x}", "track.name: "),
    ],
)
def test_a_wrong_tracker_is_refused_before_any_work(tiny, override, message):
    with pytest.raises(StudyError, match=message):
        prepare(tiny(override))


def test_a_remote_run_needs_a_folder_here(tiny):
    with pytest.raises(StudyError, match="track.folder: csv writes to this machine"):
        prepare(tiny("track=csv", "out=memory://far/run"))


@pytest.mark.parametrize("name", ["wandb", "tensorboard"])
def test_a_tracker_that_is_not_installed_is_told_before_any_work(
    tiny, name, monkeypatch
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(StudyError, match=rf"pip install 'jaxcirc\[{name}\]'"):
        prepare(tiny(f"track={name}"))


@pytest.mark.parametrize("none", ["track=none", "track=null", "track="])
def test_no_tracker_is_none(tiny, none):
    assert prepare(tiny("track=csv", none)).track is None


def test_a_damaged_record_is_named_and_stops_nothing(tiny, ran):
    _, study = ran
    run(prepare(tiny("track=csv")))
    study.folder.write("tracking/csv.json", b'{"format": 2}')
    with pytest.warns(TrackingWarning, match=r"csv\.json is damaged"):
        run(prepare(tiny("track=csv")))
    assert [fault.path for fault in check_run(study.path).faults] == [
        "tracking/csv.json"
    ]


def history(folder) -> list[dict]:
    """The history of offline runs: blocks of LevelDB's log, with protobuf inside."""
    from wandb.proto import wandb_internal_pb2

    rows = []
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        data, place, parts = path.read_bytes(), 7, b""
        while place + 7 <= len(data):
            if 32768 - place % 32768 < 7:
                place += 32768 - place % 32768
                continue
            _, size, kind = struct.unpack("<IHB", data[place : place + 7])
            parts += data[place + 7 : place + 7 + size]
            place += 7 + size
            if kind in (1, 4):
                record = wandb_internal_pb2.Record.FromString(parts)
                parts = b""
                items = record.history.item
                if items:
                    name = lambda x: "/".join(x.nested_key) or x.key
                    rows.append({name(x): json.loads(x.value_json) for x in items})
    return rows


def test_wandb_offline_holds_what_the_store_holds(tiny, ran, tmp_path):
    pytest.importorskip("wandb", reason="wandb is an extra")
    _, study = ran
    asked = "track={name: wandb, mode: offline, project: p}"
    page = tmp_path / "report.html"
    page.write_text("<html>")
    # Two sittings, of which the second goes back in steps, and one with nothing new.
    run(prepare(tiny("steps=[4,8]", asked)))
    prepared = prepare(tiny(asked))
    with Tracking(prepared) as tracking:
        run(prepared, tracking=tracking)
        tracking.page(str(page))
    run(prepare(tiny(asked)))
    rows = history(tmp_path / "run" / "tracking")
    # A step that is smaller than the one before is kept like any other.
    assert [row["step"] for row in rows] == [4, 8, 0, 1, 2]
    own = {"step", "_step", "_runtime", "_timestamp"}
    found = [(r["step"], k, x) for r in rows for k, x in r.items() if k not in own]
    same(found, study)


def test_tensorboard_holds_what_the_store_holds(tiny, ran, monkeypatch):
    pytest.importorskip("tensorboard", reason="tensorboard is an extra")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, study = ran
    prepared = prepare(tiny("track=tensorboard"))
    writer = type(prepared.track.tracker)
    given = writer.write

    def killed(self, step, values):
        given(self, step, values)
        if step == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(writer, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        run(prepared)
    monkeypatch.undo()
    run(prepare(tiny("track=tensorboard")))
    events = EventAccumulator(f"{study.path}/tracking/tiny").Reload()
    found = [
        (event.step, name, event.value)
        for name in events.Tags()["scalars"]
        for event in events.Scalars(name)
    ]
    same(found, study, kind=np.float32)
