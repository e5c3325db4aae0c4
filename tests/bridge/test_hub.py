"""Runs on the hub: what is downloaded, when, and what is said where it fails."""

import os

import pytest

import tracr_bridge as tb
from jaxcirc.checkpoints import CheckpointError

from . import made
from .conftest import STEPS


def test_a_hub_series_downloads_only_what_it_needs(hub, tmp_path):
    cache = str(tmp_path / "cache")
    trajectory = tb.trajectory("lab/tiny", cache=cache, keep=2)
    assert trajectory.steps == STEPS
    assert trajectory.info["model"] == made.NEOX.to_dict()
    for step, model in trajectory.stream():
        made.same(model, made.neox(step))
    files = [name.split("/")[1].split("@")[0] for name in hub.served]
    assert set(files) == {"config.json", "model.safetensors"}
    assert files.count("model.safetensors") == len(STEPS)
    snapshots = os.path.join(cache, "models--lab--tiny", "snapshots")
    assert len(os.listdir(snapshots)) == 2
    # What is still there is not downloaded again.
    served = len(hub.served)
    made.same(trajectory.load(1000), made.neox(1000))
    assert len(hub.served) == served
    chosen = tb.trajectory("lab/tiny", cache=cache, schedule="exponential")
    assert chosen.steps == (1, 2, 1000)
    made.same(tb.load("lab/tiny", revision="step100", cache=cache), made.neox(100))
    made.same(tb.load("lab/tiny", cache=cache), made.neox(1000))
    assert tb.revisions("lab/tiny")[100] == "step100"


def test_a_branch_whose_commits_are_the_checkpoints(hub, tmp_path):
    titles = {
        "step1000": "Saving HF Model -- Step 40",
        "step100": "Saving Learning Dynamics Data (train) -- Step 40",
        "step2": "Saving HF Model -- Step 20",
        # Pushed before a resumption; the newer one counts.
        "step1": "Saving HF Model -- Step 20",
    }
    hub.commits = [
        {
            "id": hub.commit(name),
            "title": title,
            "message": "",
            "date": "2025-03-01T00:00:00.000Z",
            "authors": [],
        }
        for name, title in titles.items()
    ]
    trajectory = tb.trajectory("lab/tiny", branch="main", cache=str(tmp_path / "cache"))
    assert trajectory.steps == (20, 40)
    made.same(trajectory.load(20), made.neox(2))
    made.same(trajectory.load(40), made.neox(1000))


def test_a_download_that_breaks_off_goes_on(hub, tmp_path):
    cache = str(tmp_path / "cache")
    hub.breaks, hub.break_after = 1, 500
    made.same(tb.load("lab/tiny", revision="step1", cache=cache), made.neox(1))


def test_what_the_hub_lacks_is_named(hub, tmp_path):
    cache = str(tmp_path / "cache")
    with pytest.raises(CheckpointError, match=r"no revision 'step90'. Near.* step100"):
        tb.load("lab/tiny", revision="step90", cache=cache)
    with pytest.raises(CheckpointError, match="no such model on the hub"):
        tb.load("lab/other", cache=cache)
    with pytest.raises(ValueError, match="no checkpoint at step 90; near ones are"):
        tb.trajectory("lab/tiny", steps=[90], cache=cache)


def test_without_network_it_says_how_to_go_on(tmp_path, monkeypatch):
    reason = "huggingface_hub is not installed"
    constants = pytest.importorskip("huggingface_hub.constants", reason=reason)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    message = "could not be asked.*download the folder elsewhere and give its path"
    with pytest.raises(CheckpointError, match=message):
        tb.load("lab/tiny", cache=str(tmp_path))
