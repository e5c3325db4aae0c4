"""Programs as tasks: their sequences, their answers, and solutions that are exact."""

import collections
import sys

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import tracr_bridge as tb
from jaxcirc.metrics import rank_0_rate
from jaxcirc.models import Transformer, TransformerConfig
from jaxcirc.study import StudyError, load_config, prepare
from jaxcirc.training import Training, train
from tracr_bridge.rasp.programs import PROGRAMS
from tracr_bridge.rasp.programs._sequences import sequences

NAMES = [row.name for row in PROGRAMS if row.name != "length"]


def accuracy(model, batch):
    logits = jax.jit(lambda m, t: m(t))(model, batch.tokens)
    return float(rank_0_rate(logits, batch.targets, batch.mask))


@pytest.mark.parametrize("name", ["histogram", "pair_balance", "detect_pattern"])
def test_targets_are_what_the_reference_says(name):
    task = tb.program_task(name, n_examples=200)
    row = next(row for row in PROGRAMS if row.name == name)
    for batch in (task.train, task.test):
        for tokens, targets, mask in zip(*jax.device_get(batch), strict=True):
            assert task.vocab[tokens[0]] == "BOS"
            said = row.reference([task.vocab[t] for t in tokens[1:]])
            assert [a is not None for a in said] == mask[1:].tolist()
            right = [task.answers[t] for t, m in zip(targets, mask, strict=True) if m]
            assert right == [a for a in said if a is not None]


@pytest.mark.parametrize("row", PROGRAMS, ids=lambda row: row.name)
def test_sequences_are_distinct_valid_and_reproducible(row):
    found = row.sequences(60)
    assert len({tuple(s) for s in found}) == len(found) <= 60
    assert all(len(s) == row.max_seq_len for s in found)
    assert row.valid is None or all(map(row.valid, found))
    assert row.sequences(60) == found
    assert row.sequences(60, seed=1) != found


def test_sequences_are_balanced_and_hold_edge_cases():
    found = sequences(("a", "b"), 12, 130, kind=lambda s: s.count("a"))
    counts = collections.Counter(s.count("a") for s in found)
    # There is one sequence without "a" and there are twelve with one.
    assert counts[0] == counts[12] == 1
    middle = [counts[i] for i in range(3, 10)]
    assert max(middle) - min(middle) <= 1
    assert ["a", "b"] * 6 in found
    every = sequences(("a", "b"), 3, 130)
    assert len(every) == 8


def test_palindromes_are_as_many_as_what_is_not_quite_one():
    row = next(row for row in PROGRAMS if row.name == "palindrome")
    matches = collections.Counter(sum(row.reference(s)) for s in row.sequences(600))
    assert matches[10] >= 90
    assert matches[8] >= 90
    # Constant sequences are palindromes, and among them.
    assert list("aaaaaaaaaa") in row.sequences(600)


@pytest.mark.parametrize("name", ["fraction_of_previous", "peak"])
def test_the_solution_is_right_on_every_example(name):
    pytest.importorskip("tracr.compiler.compiling")
    assert_solved(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_solution_is_right_on_every_example(name):
    assert_solved(name)


def assert_solved(name):
    task = tb.program_task(name, n_examples=500)
    model = task.solution()
    assert model.config.sizes.d_vocab_out == len(task.answers)
    for batch in (task.train, task.test):
        assert accuracy(model, batch) == 1
        # The right answer leads by ten logits.
        logits = np.asarray(model(batch.tokens))
        right = np.asarray(jax.nn.one_hot(batch.targets, logits.shape[-1], dtype=bool))
        lead = logits[right].reshape(batch.targets.shape) - np.where(
            right, -np.inf, logits
        ).max(axis=-1)
        assert lead[np.asarray(batch.mask)].min() > 9.9


def test_a_program_whose_answers_are_all_the_same_is_no_task():
    with pytest.raises(ValueError, match="length have 1 different answers"):
        tb.program_task("length")
    with pytest.raises(ValueError, match=r"(?s)RASP program.*histogram"):
        tb.program_task("histogramm")
    with pytest.raises(ValueError, match="puts 0 of them"):
        tb.program_task("histogram", train_fraction=0.0)


def test_a_new_head_has_a_bias_of_its_own_size():
    config = TransformerConfig(
        d_vocab=3, n_ctx=4, n_layers=1, d_model=2, n_heads=1, unembed_bias=True
    )
    model = jax.eval_shape(lambda key: Transformer(config, key=key), jr.key(0))
    probe = jax.eval_shape(lambda m: tb.with_head(m, 7, key=jr.key(1)), model)
    assert (probe.W_U.shape, probe.b_U.shape) == ((2, 7), (7,))


def test_a_student_learns_from_random_weights(tmp_path):
    """Seeds side by side, and a student that starts from the program's own weights."""
    pytest.importorskip("tracr.compiler.compiling")
    task = tb.program_task("sort_unique", n_examples=2000)
    solution = task.solution()
    training = Training(
        steps=600, batch_size=64, learning_rate=3e-3, warmup=50, seeds=2, every=600
    )
    found = train(solution.config, task, training, str(tmp_path / "fresh"))
    assert [accuracy(t.load(0), task.test) < 0.5 for t in found] == [True, True]
    assert min(accuracy(t.load(600), task.test) for t in found) > 0.95
    headless = tb.with_head(solution, task.d_vocab_out, key=jr.key(0))
    assert accuracy(headless, task.test) < 0.5
    probe = Training(
        steps=300,
        batch_size=64,
        learning_rate=0.03,
        freeze=("W_E", "W_pos", "blocks"),
        every=300,
    )
    (learnt,) = train(
        headless.config, task, probe, str(tmp_path / "head"), start=headless
    )
    model = learnt.load(300)
    assert accuracy(model, task.test) > 0.99
    np.testing.assert_array_equal(model.blocks.attn.W_Q, solution.blocks.attn.W_Q)
    with pytest.raises(ValueError, match="Give `start.config`"):
        train(
            model.config,
            task,
            probe,
            str(tmp_path / "x"),
            start=Transformer(tb.program_task("peak").solution().config, key=jr.key(0)),
        )


def test_compression_keeps_the_function_where_there_is_room():
    pytest.importorskip("tracr.compiler.compiling")
    task = tb.program_task("sort_unique", n_examples=1000)
    model = task.solution()
    full = model.config.d_model
    found = tb.compress(model, task, (3, 12, full), steps=100, key=jr.key(0))
    assert found.accuracy[2] == 1
    assert found.accuracy[0] < found.accuracy[1] < 1
    assert found.layer_error[0] > found.layer_error[1] > found.layer_error[2]
    small = found.compressed(12)
    assert small.config.d_model == 12
    assert accuracy(small, task.test) == pytest.approx(
        float(found.accuracy[1]), abs=0.01
    )
    # A change of basis changes nothing.
    turn = jnp.linalg.qr(jr.normal(jr.key(1), (full, full)))[0]
    tokens = task.test.tokens[:20]
    np.testing.assert_allclose(
        tb.project(model, turn)(tokens), model(tokens), atol=2e-3
    )
    with pytest.raises(ValueError, match="numbers from 1 to the model's"):
        tb.compress(model, task, (full + 1,), key=jr.key(0))
    with pytest.raises(ValueError, match="no projection to 5"):
        found.compressed(5)


STUDY = """
name: s
task: {name: rasp, program: PROGRAM}
model: {family: FAMILY}
training: {steps: 4, batch_size: 4}
measure: [MEASURE]
"""


def study(
    tmp_path, program="sort_unique", family="rasp, program: sort_unique", measure=""
):
    path = tmp_path / "s.yaml"
    text = STUDY.replace("PROGRAM", program).replace("FAMILY", family)
    path.write_text(text.replace("MEASURE", measure))
    return prepare(load_config(str(path)))


def test_a_study_takes_programs_as_tasks_and_their_architecture(tmp_path):
    pytest.importorskip("tracr.compiler.compiling")
    prepared = study(tmp_path)
    assert prepared.model == prepared.task.solution().config
    # Any family can learn a program; it gets one logit per answer.
    other = study(
        tmp_path, "triplets", "gpt2, n_layers: 1, d_model: 8, n_heads: 1, tied: false"
    )
    assert other.model.d_vocab_out == len(other.task.answers) > other.task.d_vocab
    with pytest.raises(StudyError, match="Give the task's program"):
        study(tmp_path, "peak")
    with pytest.raises(StudyError, match="(?s)RASP program.*sort_unique"):
        study(tmp_path, "sort_uniqe")


def test_a_measurement_of_the_solution_needs_one(tmp_path):
    path = tmp_path / "s.yaml"
    text = STUDY.replace("rasp, program: PROGRAM", "mod_add, p: 5")
    text = text.replace("FAMILY", "grokking").replace("MEASURE", "llc_solution")
    path.write_text(text)
    with pytest.raises(StudyError, match="no model is known to solve this task"):
        prepare(load_config(str(path)))


def test_without_tracr_a_study_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tracr.compiler.compiling", None)
    tb.compile_named.cache_clear()
    with pytest.raises(StudyError, match=r"jaxcirc\[tracr\]"):
        study(tmp_path)
