"""A run that is killed at any file operation ends, started again, in the same bytes."""

import pathlib
import random
import signal
import subprocess
import sys

import pytest
import xarray as xr

from jaxcirc.study import Study, check_run

from .._children import quick

# A process that kills itself at the n-th step of writing a file: before the bytes are
# forced to disk, before the rename, or after it.
PROGRAM = """
import os, signal, sys
import jax
jax.config.update("jax_compilation_cache_dir", sys.argv[3])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
from jaxcirc.study import load_config, prepare, run

left = int(sys.argv[4])

def counted(operation):
    def call(*arguments):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        result = operation(*arguments)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call

os.replace, os.fsync = counted(os.replace), counted(os.fsync)
run(prepare(load_config(sys.argv[1], ["out=" + sys.argv[2]])))
"""

STUDY = """
name: killed
task: {name: mod_add, p: 5}
model: {family: attention_only, d_model: 8, n_heads: 2}
training: {steps: 6, batch_size: 4, every: 2, checkpoints: linear, seeds: 2}
measure: [weights, {name: performance, n_examples: 8}]
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    here = tmp_path_factory.mktemp("kills")
    (here / "study.yaml").write_text(STUDY)

    def go(out: pathlib.Path, kill_at: int = 10**9) -> int:
        words = [str(here / "study.yaml"), str(out), str(here / "xla"), str(kill_at)]
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            capture_output=True,
            env=quick(),
        ).returncode

    return go


def same_results(one: pathlib.Path, two: pathlib.Path) -> None:
    trees = [Study(str(path)).open() for path in (one, two)]
    assert set(trees[0].children) == set(trees[1].children)
    for name in trees[0].children:
        xr.testing.assert_identical(
            *(tree[name].to_dataset().drop_attrs() for tree in trees)
        )
    for file in sorted(one.glob("training/seed_*/*.safetensors")):
        other = two / file.relative_to(one)
        assert file.read_bytes() == other.read_bytes(), file.name


def kill_many(start, folder: pathlib.Path, number: int, seed: int) -> int:
    """Kill runs again and again until each is done; how many runs that took."""
    rng = random.Random(seed)
    assert start(folder / "whole") == 0
    kills = runs = 0
    while kills < number:
        out = folder / f"run_{runs}"
        while (code := start(out, rng.randint(1, 120))) != 0:
            assert code == -signal.SIGKILL
            kills += 1
        same_results(folder / "whole", out)
        found = check_run(str(out))
        assert not found.faults
        assert found.state == "complete"
        runs += 1
    return runs


def test_a_run_killed_a_few_times_ends_in_the_same_bytes(start, tmp_path):
    assert kill_many(start, tmp_path, 1, seed=0) >= 1


@pytest.mark.slow
def test_two_hundred_kills_change_nothing(start, tmp_path):
    assert kill_many(start, tmp_path, 200, seed=1) > 1
