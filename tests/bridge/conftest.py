"""A published run of five checkpoints: in folders, and behind an address of its own."""

import pytest

from . import made
from .hub_server import Hub, serving

STEPS = (0, 1, 2, 100, 1000)


@pytest.fixture
def series(tmp_path):
    """Five revisions of a small GPT-NeoX, in folders."""
    for step in STEPS:
        folder = tmp_path / "series" / f"step{step}"
        made.write_neox(folder, seed=step)
        (folder / "optimizer.bin").write_bytes(b"not for us" * 100)
    return tmp_path / "series"


@pytest.fixture
def hub(series, tmp_path, monkeypatch):
    """The same behind an address."""
    reason = "huggingface_hub is not installed"
    constants = pytest.importorskip("huggingface_hub.constants", reason=reason)
    revisions = {f"step{step}": series / f"step{step}" for step in STEPS}
    made_up = Hub("lab/tiny", revisions | {"main": series / "step1000"})
    with serving(made_up) as url:
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        yield made_up
