"""Rows that compare a finetuned model with the one before."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc.metrics import chance_overlap, intruder_dimensions, pattern_divergence
from jaxcirc.models import Transformer, TransformerConfig
from jaxcirc.study import (
    MEASUREMENTS,
    Chunk,
    PerChunk,
    Snapshot,
    StudyError,
    prepare,
    run,
)
from jaxcirc.tasks import Induction

CONFIG = TransformerConfig(
    d_vocab=13, n_ctx=16, n_layers=2, d_model=16, n_heads=2, d_mlp=0
)
TASK = Induction(12, 16, 3, 6)


@pytest.fixture(scope="module")
def pair():
    """A model, and the same with other weights of one kind."""
    return tuple(Transformer(CONFIG, key=jr.key(seed)) for seed in (0, 1))


def measured(name, base, tuned, **options):
    """Values of a row's quantities for one model and its reference."""
    spec = next(spec for spec in MEASUREMENTS if spec.name == name)
    measure = spec.build(**options)
    if isinstance(measure, PerChunk):
        lead = lambda model: jax.tree.map(lambda x: x[None, None], model)
        chunk = Chunk((1,), lead(tuned), {"reference": lead(base)})
        found = measure(chunk, TASK, key=jr.key(0))
        return {k: np.asarray(q.values)[0, 0] for k, q in found.quantities.items()}
    shot = Snapshot(jnp.array(1), tuned, tuned, jnp.array(False), {"reference": base})
    found = measure(shot, TASK, key=jr.key(0))
    return {k: np.asarray(q.values) for k, q in found.quantities.items()}


def with_other(model, other, *names):
    """The model with some of another's attention weights."""
    where = lambda m: [getattr(m.blocks.attn, name) for name in names]
    return eqx.tree_at(where, model, where(other))


def test_queries_of_the_first_layer_alone_move_patterns_and_no_values(pair):
    base, other = pair
    found = measured("decompose", base, with_other(base, other, "W_Q"), n_examples=4)
    neither, ov, qk, both = found["loss"]
    # The losses with one part changed are those of the whole where only it has changed.
    assert ov == pytest.approx(neither, rel=1e-5)
    assert qk == pytest.approx(both, rel=1e-5)
    assert qk != pytest.approx(neither, rel=1e-4)
    np.testing.assert_allclose(found["size"], [0, 1, 0], atol=1e-3)


def test_shares_over_the_path_add_up_and_orders_predict_a_short_way(pair):
    base, other = pair
    near = jax.tree.map(lambda a, b: a + 0.02 * (b - a), base, other)
    found = measured("loss_change", base, near, n_examples=4, nodes=4)
    assert found["path"].sum() + found["residual"] == pytest.approx(
        found["change"], rel=1e-4
    )
    first, second = found["predicted"]
    np.testing.assert_allclose(found["order_1"].sum(), first, rtol=1e-4)
    np.testing.assert_allclose(found["order_2"].sum(), second, rtol=1e-4)
    # A short way is within the radius, so each order is nearer than the one before.
    missed = abs(found["predicted"] - found["change"])
    assert missed[1] < 0.2 * missed[0]


def test_the_chord_of_a_model_with_itself_is_flat(pair):
    base, other = pair
    assert measured("chord", base, base, n_examples=2, points=3)["barrier"] == 0
    found = measured("chord", base, other, n_examples=2, points=3)
    low, middle, high = found["loss"]
    rise = max(0.0, float(middle) - float(low + high) / 2)
    assert found["barrier"] == pytest.approx(rise, abs=1e-5)


def test_updates_are_of_the_weights_that_have_moved(pair):
    base, other = pair
    tuned = with_other(base, other, "W_V")
    found = measured("updates", base, tuned, top=4)
    measure = next(s for s in MEASUREMENTS if s.name == "updates").build()
    names = measure.coords(CONFIG, TASK, key=jr.key(0))["matrix"]
    moved = {n for n, size in zip(names, found["size"], strict=True) if size}
    assert moved == {"blocks.0.attn.W_V", "blocks.1.attn.W_V"}
    assert (found["head_size"] > 0).all()
    # What has not moved has no rank, and no direction that is new.
    still = [n not in moved for n in names]
    for name in ("effective_rank", "stable_rank", "intruders"):
        assert (found[name][still] == 0).all()


def test_patterns_are_those_of_both_models(pair):
    base, other = pair
    found = measured("pattern_change", base, base, n_examples=2, max_length=8)
    assert (found["divergence"] == 0).all()
    found = measured("pattern_change", base, other, n_examples=2, max_length=8)
    assert ((found["divergence"] > 0) & (found["divergence"] < np.log(2))).all()
    for name in ("pattern", "reference_pattern"):
        assert found[name].shape == (2, 2, 8, 8)
        np.testing.assert_allclose(found[name].sum(axis=-1), 1, rtol=1e-5)


def test_entries_keep_their_shares_and_a_shift_is_told(pair):
    base, _ = pair
    found = measured("distributions", base, base, bins=8)
    np.testing.assert_allclose(found["entries"].sum(axis=1), 1, rtol=1e-5)
    assert (found["wasserstein"] == 0).all()
    assert (found["moved"] == 0).all()
    shifted = eqx.tree_at(lambda m: m.W_U, base, base.W_U + base.W_U.std())
    names = next(s for s in MEASUREMENTS if s.name == "distributions").build()
    labels = names.coords(CONFIG, TASK, key=jr.key(0))["matrix"]
    place = labels.index("W_U")
    found = measured("distributions", base, shifted, bins=8)
    # A shift by one deviation moves every entry, and the distribution by that much.
    assert found["wasserstein"][place] == pytest.approx(1, rel=1e-4)
    assert found["moved"][place] == 1
    assert np.delete(found["moved"], place).max() == 0


def test_the_kernel_of_a_scaled_unembedding_keeps_its_direction(pair):
    base, other = pair
    same = measured("kernel_change", base, base, n_examples=4)
    assert same["change"] == 0
    assert same["turn"] < 1e-6
    far = measured("kernel_change", base, other, n_examples=4)
    assert far["change"] > 0.1
    assert 0 < far["turn"] < 1


def test_disjoint_patterns_differ_by_ln_2_and_the_divergence_is_symmetric():
    one, two = jr.dirichlet(jr.key(0), jnp.ones(6), (2, 6))
    assert pattern_divergence(one, two) == pytest.approx(
        float(pattern_divergence(two, one)), rel=1e-5
    )
    away = pattern_divergence(jnp.eye(6), jnp.roll(jnp.eye(6), 1, axis=0))
    assert away == pytest.approx(np.log(2), rel=1e-6)


@pytest.mark.parametrize("width", [64, 128, 512])
def test_the_chance_of_an_overlap_is_that_of_random_directions(width):
    drawn = jr.normal(jr.key(0), (2000, width))
    best = jnp.abs(drawn / jnp.linalg.norm(drawn, axis=1, keepdims=True)).max(axis=1)
    for share in (0.5, 0.95):
        expected = float(jnp.quantile(best, share))
        assert chance_overlap(width, width, share=share) == pytest.approx(
            expected, rel=0.02
        )


def test_intruders_are_what_was_planted_and_nothing_else():
    old = jr.normal(jr.key(0), (64, 48))
    largest = jnp.linalg.norm(old, ord=2)
    u, v = (x / jnp.linalg.norm(x) for x in (jr.normal(jr.key(1), (64,)), old[0]))
    for size, expected in ((2.0, 1), (0.1, 0)):
        new = old + size * largest * jnp.outer(u, v)
        assert int(intruder_dimensions(new, old)) == expected
    noise = jr.normal(jr.key(2), old.shape)
    assert int(intruder_dimensions(old + 0.02 * noise, old)) == 0
    with pytest.raises(ValueError, match="one shape"):
        intruder_dimensions(old, old.T)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{name: decompose, n_examples: 0}", "decompose: `n_examples`"),
        ("{name: loss_change, groups: head}", "groups"),
        ("{name: loss_change, nodes: 0}", "loss_change: `n_examples` and `nodes`"),
        ("{name: chord, points: 1}", "chord: `n_examples`"),
        ("{name: updates, top: 0}", "updates: `top`"),
        ("{name: pattern_change, max_length: 0}", "pattern_change: "),
        ("{name: updates, reference: runs/none}", "runs/none"),
    ],
)
def test_options_that_cannot_be_are_told_before_training(tiny, row, said):
    with pytest.raises(StudyError, match=said):
        prepare(tiny(f"measure=[{row}]"))


@pytest.mark.parametrize(
    ("forward", "row", "loss"),
    [
        ("linearised", "{name: taylor, n_examples: 64}", ("order", "1")),
        ("frozen_attention", "{name: decompose}", ("changed", "OV")),
    ],
)
def test_a_study_trains_through_another_forward_pass(tiny, forward, row, loss):
    task = "{name: induction, n_symbols: 6, n_ctx: 8, shortest: 2, longest: 3}"
    prepared = prepare(
        tiny(
            f"task={task}",
            f"training.start={{task: {task}, steps: 2}}",
            f"training.forward={forward}",
            "training.batch_size=64",
            f"measure=[{row}]",
        )
    )
    study = run(prepared).open()
    name = prepared.measurements[0].id
    losses = study[name]["loss"].sel({loss[0]: loss[1]}).values[:, 0]
    # What it was trained on is less than before.
    assert losses[-1] < losses[0]
    assert '"forward"' in study.attrs["identity"]


def test_another_forward_pass_needs_weights_to_be_expanded_at(tiny):
    with pytest.raises(StudyError, match="training.forward: .* give `start`"):
        prepare(tiny("training.forward=linearised"))
    with pytest.raises(StudyError, match="training.forward"):
        prepare(tiny("training.forward=linear"))
