import json
import pickle
import subprocess
import threading

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc.checkpoints import (
    CheckpointError,
    Trajectory,
    TrajectoryWriter,
    load_tensors,
    open_trajectory,
    save_tensors,
)
from jaxcirc.models import Transformer, TransformerConfig

from .._wide import double_precision

CONFIG = TransformerConfig(
    d_vocab=5, n_ctx=4, n_layers=2, d_model=8, n_heads=2, window=(2, None)
)


def model(seed: int) -> Transformer:
    return Transformer(CONFIG, key=jr.key(seed))


def same(a, b) -> bool:
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(x, y) for x, y in leaves)


@pytest.fixture
def folder(tmp_path):
    writer = TrajectoryWriter(str(tmp_path / "run"), CONFIG, {"seed": 3})
    for step in (0, 10, 20):
        writer.save(step, model(step))
    return tmp_path / "run"


def test_models_come_back_bit_for_bit(folder):
    trajectory = open_trajectory(str(folder))
    assert trajectory.steps == (0, 10, 20)
    assert trajectory.info["seed"] == 3
    for step in trajectory.steps:
        loaded = trajectory.load(step)
        assert loaded.config == CONFIG
        assert same(loaded, model(step))


def test_stack_has_a_leading_checkpoint_axis(folder):
    stacked = open_trajectory(str(folder)).stack((20, 0))
    assert stacked.W_E.shape == (2, 5, 8)
    np.testing.assert_array_equal(stacked.W_E[0], model(20).W_E)


def test_stream_gives_all_in_order_and_reads_ahead_by_one():
    started, lock = [], threading.Lock()

    def read(step):
        with lock:
            started.append(step)
        return jnp.full(2, step)

    trajectory = Trajectory(range(6), read, {}, "test")
    for step, array in trajectory.stream():
        assert array[0] == step
        with lock:
            assert max(started) <= step + 2
    assert started == list(range(6))


def test_stream_passes_errors_on():
    def read(step):
        raise CheckpointError("broken")

    with pytest.raises(CheckpointError, match="broken"):
        list(Trajectory((0, 1), read, {}, "test").stream())


def test_a_missing_step_names_the_nearest(folder):
    with pytest.raises(ValueError, match="no checkpoint at step 13; the nearest is 10"):
        open_trajectory(str(folder)).load(13)


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "remove"])
def test_damage_names_the_file_and_spares_the_others(folder, damage):
    file = folder / "step_00000010.safetensors"
    data = bytearray(file.read_bytes())
    if damage == "truncate":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        data[-5] ^= 16
        file.write_bytes(data)
    elif damage == "empty":
        file.write_bytes(b"")
    else:
        file.unlink()
    trajectory = open_trajectory(str(folder))
    with pytest.raises(CheckpointError, match="step_00000010.safetensors"):
        trajectory.load(10)
    assert same(trajectory.load(20), model(20))


def test_every_flipped_bit_of_the_header_is_noticed(folder):
    file = folder / "step_00000010.safetensors"
    data = file.read_bytes()
    trajectory = open_trajectory(str(folder))
    end = 8 + int.from_bytes(data[:8], "little")
    for place in range(0, end, 97):
        damaged = bytearray(data)
        damaged[place] ^= 1
        file.write_bytes(damaged)
        try:
            loaded = trajectory.load(10)
        except CheckpointError:
            continue
        # A bit that no tensor depends on, such as one of the file's own hashes.
        assert same(loaded, model(10))


def test_a_damaged_index_is_named(folder):
    (folder / "trajectory.json").write_text("{not json")
    with pytest.raises(CheckpointError, match=r"trajectory.json is damaged"):
        open_trajectory(str(folder))


def test_a_folder_without_a_trajectory_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="not a trajectory"):
        open_trajectory(str(tmp_path))


def test_a_pickle_is_refused_and_never_run(folder):
    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit('executed')",))

    (folder / "step_00000010.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError):
        open_trajectory(str(folder)).load(10)


def test_another_runs_folder_is_refused(folder):
    with pytest.raises(CheckpointError, match="`seed` is 3 there and 4 here"):
        TrajectoryWriter(str(folder), CONFIG, {"seed": 4})


def test_writing_goes_on_in_the_same_folder(folder):
    writer = TrajectoryWriter(str(folder), CONFIG, {"seed": 3})
    assert writer.steps == (0, 10, 20)
    writer.save(30, model(30))
    assert open_trajectory(str(folder)).steps == (0, 10, 20, 30)


def test_identical_weights_have_identical_hashes(folder):
    writer = TrajectoryWriter(str(folder), CONFIG, {"seed": 3})
    writer.save(40, model(20))
    steps = json.loads((folder / "trajectory.json").read_text())["steps"]
    assert steps["40"]["hashes"] == steps["20"]["hashes"]
    assert steps["10"]["hashes"] != steps["20"]["hashes"]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.int32, jnp.bool_])
def test_every_type_survives(tmp_path, dtype):
    tree = {"a": jnp.arange(6).reshape(2, 3).astype(dtype)}
    save_tensors(str(tmp_path / "x"), tree)
    loaded = load_tensors(str(tmp_path / "x"), tree)
    assert loaded["a"].dtype == dtype
    assert same(loaded, tree)


def test_tensors_of_another_shape_are_refused(tmp_path):
    save_tensors(str(tmp_path / "x"), {"a": jnp.zeros(3)})
    with pytest.raises(CheckpointError, match="belongs to another model"):
        load_tensors(str(tmp_path / "x"), {"a": jnp.zeros(4)})


def test_an_object_store_works_like_a_disk():
    writer = TrajectoryWriter("memory://store/run", CONFIG, {"seed": 0})
    writer.save(5, model(5))
    assert same(open_trajectory("memory://store/run").load(5), model(5))


def test_a_full_disk_keeps_what_was_there(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", mount], capture_output=True
    )
    if made.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        writer = TrajectoryWriter(str(mount / "run"), CONFIG, {"seed": 0})
        writer.save(0, model(0))
        with pytest.raises(OSError, match="cannot write"):
            for step in range(1, 50):
                writer.save(step, model(step))
        assert not list((mount / "run").glob("*.tmp"))
        trajectory = open_trajectory(str(mount / "run"))
        for step in trajectory.steps:
            assert same(trajectory.load(step), model(step))
    finally:
        subprocess.run(["umount", mount], check=True)


def test_float64_is_read_where_jax_is_set_to_it_and_else_named(tmp_path):
    path = str(tmp_path / "run")
    with double_precision(True):
        wide = model(0)
        assert wide.W_E.dtype == jnp.float64
        TrajectoryWriter(path, CONFIG, {}).save(0, wide)
        assert same(open_trajectory(path).load(0), wide)
    with pytest.raises(CheckpointError, match="float64.*Set JAX_ENABLE_X64=1"):
        open_trajectory(path).load(0)


def test_float32_is_read_as_it_is_where_jax_is_set_to_float64(folder):
    with double_precision(True):
        found = open_trajectory(str(folder)).load(10)
        assert found.W_E.dtype == jnp.float32
    assert same(found, model(10))


def test_a_state_of_another_precision_is_told_from_another_model(tmp_path):
    file = str(tmp_path / "state.safetensors")
    save_tensors(file, {"x": jnp.zeros(3)})
    with double_precision(True):
        like = {"x": jnp.zeros(3)}
        with pytest.raises(CheckpointError, match="another JAX_ENABLE_X64"):
            load_tensors(file, like)
    with pytest.raises(CheckpointError, match="another model"):
        load_tensors(file, {"x": jnp.zeros(4)})
