"""No file crashes, hangs, fills the memory or runs anything, whatever is in it."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

KINDS = [
    "safetensors", "npz", "pt", "evil", "bin", "model", "config", "index", "tokenizer",
]  # fmt: skip
ROOT = pathlib.Path(__file__).parents[2]


def read_mutated(kind, count, folder):
    """In a process of its own, so that a crash is seen and memory is its own."""
    if kind == "tokenizer":
        pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    command = [sys.executable, "-m", "tests.bridge.mutations", kind, str(count)]
    ran = subprocess.run(
        [*command, str(folder)],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["faults"] == []
    assert found["executed"] == []
    assert found["loaded"] + found["refused"] == count
    assert found["refused"] > count / 20
    assert found["slowest"] < 5
    # Files of a few kilobytes; a model's few programs and caches come on top.
    assert found["grew"] < 100
    assert not (folder / "executed").exists()


@pytest.mark.parametrize("kind", ["pt", "safetensors", "config"])
def test_mutated_files_load_or_say_clearly_why_not(kind, tmp_path):
    read_mutated(kind, 100, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_mutated_files_of_each_kind(kind, tmp_path):
    read_mutated(kind, 1000, tmp_path)
