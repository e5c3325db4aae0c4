import json
import pathlib
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcirc._core import fold_name, named_leaves
from jaxcirc.checkpoints import CheckpointError, open_trajectory
from jaxcirc.models import Transformer, TransformerConfig
from jaxcirc.objectives import CrossEntropy, KLTo, LogitDifference, Negative
from jaxcirc.tasks import Induction, ModAdd
from jaxcirc.training import (
    Training,
    TrainingDiverged,
    read_losses,
    train,
    training_memory,
)
from jaxcirc.training._advance import Lesson, init_state, make_loop

from .._children import quick

# Without attention biases: that on keys has no gradient but rounding, which Adam would
# blow up to full steps in a random direction.
CONFIG = TransformerConfig(
    d_vocab=8, n_ctx=3, n_layers=1, d_model=8, n_heads=2, attention_bias=False
)
TASK = ModAdd(7, 0.5, 0)
SHORT = {"steps": 12, "batch_size": 5, "learning_rate": 1e-2, "every": 4}


def weights(trajectory, step):
    return named_leaves(trajectory.load(step))


def equal(a, b):
    return all(np.array_equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("whole"))
    return folder, train(CONFIG, TASK, Training(**SHORT), folder)


def test_checkpoints_are_the_schedule_with_first_and_last(whole):
    assert whole[1][0].steps == (0, 1, 2, 4, 8, 12)


def test_the_first_checkpoint_is_the_fresh_model(whole):
    key = fold_name(jax.random.key(0), "model")
    fresh = named_leaves(Transformer(CONFIG, key=key))
    for name, leaf in weights(whole[1][0], 0).items():
        np.testing.assert_allclose(leaf, fresh[name], rtol=1e-6)


def test_training_is_plain_adamw_step_by_step(tmp_path):
    training = Training(
        steps=3, batch_size=None, learning_rate=1e-2, weight_decay=0.1, every=1
    )
    (trajectory,) = train(CONFIG, TASK, training, str(tmp_path))
    losses = read_losses(str(tmp_path), seeds=1, steps=3)
    model, batch = trajectory.load(0), TASK.examples("train")
    optimizer = optax.adamw(1e-2, weight_decay=0.1)
    state = optimizer.init(model)
    for step in range(3):
        loss, gradient = jax.value_and_grad(CrossEntropy().mean)(model, batch)
        assert losses[0, step] == pytest.approx(float(loss), rel=1e-5)
        with jax.numpy_dtype_promotion("standard"):
            change, state = optimizer.update(gradient, state, model)
        model = optax.apply_updates(model, change)
        for name, leaf in weights(trajectory, step + 1).items():
            expected = named_leaves(model)[name]
            np.testing.assert_allclose(leaf, expected, rtol=1e-3, atol=1e-5)


def test_every_loss_is_recorded(whole):
    losses = read_losses(whole[0], seeds=1, steps=12)
    assert losses.shape == (1, 12)
    assert np.isfinite(losses).all()


def test_a_finished_run_is_not_trained_again(whole):
    calls = []
    again = train(
        CONFIG,
        TASK,
        Training(**SHORT),
        whole[0],
        on_progress=lambda *args: calls.append(args),
    )
    assert not calls
    assert again[0].steps == whole[1][0].steps


# Four host devices: one seed runs plainly, four are sharded, three are not.
@pytest.mark.parametrize("seeds", [3, 4])
def test_seeds_together_equal_each_alone(tmp_path, whole, seeds):
    folder = str(tmp_path / "together")
    together = train(CONFIG, TASK, Training(**SHORT, seeds=seeds), folder)
    assert len(together) == seeds
    assert [t.info["seed"] for t in together] == list(range(seeds))
    assert not equal(weights(together[0], 12), weights(together[1], 12))
    alone = train(CONFIG, TASK, Training(**SHORT, seed=2), str(tmp_path / "alone"))
    pairs = ((together[0], whole[1][0]), (together[2], alone[0]))
    for ours, theirs in pairs:
        for name, leaf in weights(ours, 12).items():
            np.testing.assert_allclose(
                leaf, weights(theirs, 12)[name], rtol=1e-4, atol=1e-5
            )


def test_frozen_weights_stay_and_the_others_move(tmp_path):
    training = Training(**SHORT, freeze=("W_E", "blocks.attn.W_Q"), weight_decay=0.1)
    (trajectory,) = train(CONFIG, TASK, training, str(tmp_path))
    first, last = weights(trajectory, 0), weights(trajectory, 12)
    for name in first:
        frozen = name in ("W_E", "blocks.attn.W_Q")
        moved = not np.array_equal(first[name], last[name])
        assert moved != frozen, name


def test_a_freeze_pattern_that_matches_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'blocks.attn.W_Q'"):
        train(CONFIG, TASK, Training(freeze=("blocks.attn.WQ",)), str(tmp_path))


def test_an_endless_task_has_no_full_batch(tmp_path):
    task = Induction(12, 16, 3, 6)
    config = TransformerConfig(d_vocab=13, n_ctx=16)
    with pytest.raises(ValueError, match="have no end"):
        train(config, task, Training(batch_size=None), str(tmp_path))


def test_another_runs_folder_is_refused(whole):
    other = TransformerConfig(d_vocab=8, n_ctx=3, n_layers=1, d_model=16, n_heads=2)
    with pytest.raises(CheckpointError, match="holds another run"):
        train(other, TASK, Training(**SHORT), whole[0])


def test_divergence_names_the_step_and_keeps_what_was_good(tmp_path):
    training = Training(
        **SHORT | {"learning_rate": 1e30, "optimizer": "sgd", "every": 1}
    )
    with pytest.raises(TrainingDiverged, match="not finite at step") as caught:
        train(CONFIG, TASK, training, str(tmp_path))
    assert 0 < caught.value.step < 12
    # The last good checkpoint is kept, and every one that is kept is good.
    trajectory = open_trajectory(str(tmp_path / "seed_0"))
    assert f"up to step {trajectory.steps[-1]} are kept" in str(caught.value)
    assert trajectory.steps[-1] < caught.value.step
    for step in trajectory.steps:
        loss = CrossEntropy().mean(trajectory.load(step), TASK.examples("train"))
        assert jnp.isfinite(loss)
    # Trying again comes to the same end and loses nothing.
    with pytest.raises(TrainingDiverged):
        train(CONFIG, TASK, training, str(tmp_path))
    assert open_trajectory(str(tmp_path / "seed_0")).steps == trajectory.steps


def test_calls_of_any_length_end_in_the_same_state():
    training = Training(**SHORT)
    loop, state = make_loop(training), init_state(CONFIG, training)
    for n in (1, 2, 5):
        state, _ = loop(state, n, Lesson(TASK, CrossEntropy()))
    assert int(state.step[0]) == 8
    whole, _ = loop(init_state(CONFIG, training), 8, Lesson(TASK, CrossEntropy()))
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_objective_is_trained_on_and_told_apart(tmp_path, whole):
    """A student that starts as its teacher has nothing to learn."""
    teacher = Transformer(CONFIG, key=jax.random.key(3))
    how = Training(**SHORT | {"optimizer": "sgd", "b1": 0.0})
    folder = str(tmp_path / "student")
    (found,) = train(CONFIG, TASK, how, folder, objective=KLTo(teacher), start=teacher)
    assert np.abs(read_losses(folder, seeds=1, steps=12)).max() < 1e-6
    assert found.info["objective"] == "KLTo"
    with pytest.raises(CheckpointError, match="holds another run: `objective`"):
        train(CONFIG, TASK, how, folder, objective=lambda m, b: m(b.tokens)[:, 0, 0])
    with pytest.raises(CheckpointError, match="holds another run: `objective`"):
        train(CONFIG, TASK, Training(**SHORT), whole[0], objective=KLTo(teacher))


def test_a_plain_function_is_an_objective(tmp_path):
    found = {}
    for name, objective in (
        ("own", CrossEntropy()),
        ("function", lambda model, batch: CrossEntropy()(model, batch)),
    ):
        folder = str(tmp_path / name)
        train(CONFIG, TASK, Training(**SHORT), folder, objective=objective)
        found[name] = read_losses(folder, seeds=1, steps=12)
    # One position counts in every example, so both means weigh alike.
    np.testing.assert_allclose(found["own"], found["function"], rtol=1e-5)


def test_a_score_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"training: takes a loss.*Negative\(Logit"):
        train(
            CONFIG, TASK, Training(**SHORT), str(tmp_path), objective=LogitDifference()
        )
    with pytest.raises(ValueError, match="CrossEntropy is a loss already"):
        Negative(CrossEntropy())


def test_memory_is_counted_without_running():
    training = Training(**SHORT)
    one = training_memory(CONFIG, TASK, training)
    parameters = sum(x.nbytes for x in jax.tree.leaves(init_state(CONFIG, training)))
    assert one > parameters
    more = training_memory(CONFIG, TASK, Training(**SHORT | {"batch_size": 500}))
    assert more > 2 * one


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "`steps` must be at least 1"),
        ({"batch_size": 0}, "null for the whole"),
        ({"learning_rate": 0.0}, "must be positive"),
        ({"warmup": 12}, r"must be in \[0, steps\)"),
        ({"optimizer": "sgd", "weight_decay": 0.1}, "would ignore it"),
    ],
)
def test_bad_settings_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        Training(**SHORT | change)


@pytest.mark.parametrize("decay", ["constant", "linear", "cosine"])
def test_learning_rates_rise_and_fall_as_said(decay):
    from jaxcirc.training._config import _learning_rate

    rate = _learning_rate(Training(steps=100, warmup=10, decay=decay))
    peak = 1e-3
    assert float(rate(0)) == pytest.approx(peak / 10)
    assert float(rate(10)) == pytest.approx(peak)
    assert float(rate(100)) == pytest.approx(peak if decay == "constant" else 0)


def test_trainings_that_differ_in_seed_and_checkpoints_share_a_program():
    one = Training(**SHORT)
    other = Training(**SHORT | {"seed": 5, "checkpoints": "all"})
    assert make_loop(one) is make_loop(other)
    assert make_loop(one) is not make_loop(Training(**SHORT | {"learning_rate": 0.5}))


SCRIPT = """
import sys
from tests.training.test_training import CONFIG, TASK
from jaxcirc.training import Training, train
train(CONFIG, TASK, Training(steps=3000, batch_size=5, every=100), sys.argv[1])
"""


# Each process takes seconds to start: one kill shows that a run goes on where it was.
@pytest.mark.parametrize(
    "kills", [(4,), pytest.param((1, 4, 9), marks=pytest.mark.slow)], ids=str
)
def test_a_killed_run_ends_in_the_same_weights(kills, tmp_path):
    root = pathlib.Path(__file__).parents[2]
    environment = quick() | {
        "PYTHONPATH": str(root),
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
    }

    def start(folder):
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(folder)], env=environment, cwd=root
        )

    assert start(tmp_path / "whole").wait() == 0
    killed = tmp_path / "killed"
    index = killed / "seed_0" / "trajectory.json"

    def saved():
        # The list is replaced in one step, so it can be read at any moment.
        return len(json.loads(index.read_text())["steps"]) if index.exists() else 0

    sent = 0
    for more in kills:
        process, begun = start(killed), saved()
        while process.poll() is None and saved() < begun + more:
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            sent += 1
        process.wait()
    assert sent == len(kills)
    assert start(killed).wait() == 0

    def hashes(folder):
        text = (folder / "seed_0" / "trajectory.json").read_text()
        return {k: v["hashes"] for k, v in json.loads(text)["steps"].items()}

    assert hashes(killed) == hashes(tmp_path / "whole")
    for name in ("losses.safetensors", "state.safetensors"):
        whole = (tmp_path / "whole" / name).read_bytes()
        assert (killed / name).read_bytes() == whole


def test_a_start_in_half_precision_learns_as_in_float32(tmp_path):
    start = Transformer(CONFIG, key=jax.random.key(3))
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), start)
    single = jax.tree.map(lambda x: x.astype(jnp.float32), half)
    # Updates far below what bfloat16 can add to a weight.
    how = Training(**SHORT | {"learning_rate": 1e-5})
    found = {}
    for name, model in (("half", half), ("single", single)):
        folder = str(tmp_path / name)
        found[name] = weights(train(CONFIG, TASK, how, folder, start=model)[0], 12)
    assert equal(found["half"], found["single"])
    assert found["half"]["W_E"].dtype == jnp.float32
    assert (found["half"]["W_E"] != single.W_E).any()


def test_a_seed_is_the_same_whatever_the_generator_is_set_to(whole):
    with jax.default_prng_impl("rbg"):
        state = init_state(CONFIG, Training(**SHORT | {"seeds": 2}))
    plain = init_state(CONFIG, Training(**SHORT))
    for a, b in zip(
        jax.tree.leaves(plain.params), jax.tree.leaves(state.params), strict=True
    ):
        np.testing.assert_array_equal(a[0], b[0])


def test_healthy_training_passes_the_hunt_for_nan(tmp_path):
    with jax.debug_nans(True):
        train(CONFIG, TASK, Training(**SHORT | {"steps": 3}), str(tmp_path))
        # What has not come yet is recorded as NaN, and read again.
        losses = read_losses(str(tmp_path), seeds=1, steps=3)
    assert np.isfinite(losses).all()
