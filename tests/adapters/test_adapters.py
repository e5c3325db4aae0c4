"""What theory says of low-rank adapters, alone and through the trainer."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import taylor
from jaxcirc._core import named_leaves
from jaxcirc.adapters import LoRA, load_adapter, lora, merge, save_adapter
from jaxcirc.models import Transformer, TransformerConfig
from jaxcirc.objectives import CrossEntropy
from jaxcirc.tasks import ModAdd
from jaxcirc.training import Training, train

from .._wide import double_precision

CONFIG = TransformerConfig(
    d_vocab=8, n_ctx=3, n_layers=2, d_model=8, n_heads=2, n_kv_heads=1, d_mlp=12
)
TASK = ModAdd(7, 0.5, 0)
OVER = ("blocks.attn", "blocks.mlp.W_in", "W_U")


@pytest.fixture(scope="module")
def model():
    return Transformer(CONFIG, key=jr.key(0))


def moved(adapter, seed=0):
    """The adapter with random factors."""
    draw = np.random.default_rng(seed)
    normal = lambda x: jnp.asarray(draw.standard_normal(x.shape), x.dtype)
    return jax.tree.map(normal, adapter)


def test_a_fresh_adapter_is_the_model_bit_for_bit(model):
    same = merge(model, lora(model, rank=2, over=OVER, key=jr.key(1)))
    for name, leaf in named_leaves(same).items():
        np.testing.assert_array_equal(leaf, named_leaves(model)[name])


def test_the_change_has_the_rank_and_adds_to_every_head_as_thin_products_do(model):
    adapter = moved(lora(model, rank=2, scale=0.5, over=OVER, key=jr.key(1)))
    merged = merge(model, adapter)
    assert set(adapter.changes) == {
        *(f"blocks.attn.W_{name}" for name in "QKVO"),
        "blocks.mlp.W_in",
        "W_U",
    }
    for name, change in adapter.changes.items():
        after, before = named_leaves(merged)[name], named_leaves(model)[name]
        layers = change.A.shape[:-2]
        difference = np.asarray(after - before, np.float64)
        matrix = difference.reshape(*layers, change.A.shape[-2], -1)
        ranks = np.linalg.matrix_rank(matrix, tol=1e-4)
        np.testing.assert_array_equal(ranks, 2)
    # One head of W_O reads its own rows of A, and writes all of B's columns.
    out = adapter.changes["blocks.attn.W_O"]
    z = jnp.asarray(np.random.default_rng(2).standard_normal(4), jnp.float32)
    thin = 0.5 * (z @ out.A[1, 4:]) @ out.B[1]
    wide = z @ (merged.blocks.attn.W_O[1, 1] - model.blocks.attn.W_O[1, 1])
    np.testing.assert_allclose(thin, wide, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("double")
def test_with_b_zero_the_series_of_a_linear_model_ends_with_the_second_order():
    draw = np.random.default_rng(3)
    a, db, da = (jnp.asarray(draw.standard_normal(s)) for s in [(6, 2), (2, 5), (6, 2)])
    x = jnp.asarray(draw.standard_normal((4, 6)))
    start = {"a": a, "b": jnp.zeros((2, 5))}
    end = {"a": a + da, "b": db}
    series = taylor.expand(lambda w: x @ w["a"] @ w["b"], start, end, order=4)
    for got, wanted in zip(
        series.coefficients[1:], [x @ a @ db, x @ da @ db, 0, 0], strict=True
    ):
        np.testing.assert_allclose(got, np.broadcast_to(wanted, got.shape), atol=1e-13)
    assert series.status() == "polynomial"


@pytest.fixture(name="double")
def _double():
    with double_precision():
        yield


def test_files_give_back_the_adapter_and_refuse_others(model, tmp_path):
    adapter = moved(lora(model, rank=2, scale=3.0, over=OVER, key=jr.key(1)))
    file = str(tmp_path / "a.safetensors")
    save_adapter(file, adapter)
    found = load_adapter(file)
    assert found.config == adapter.config
    assert eqx.tree_equal(found, adapter)
    other = Transformer(dataclasses.replace(CONFIG, d_mlp=5), key=jr.key(0))
    with pytest.raises(ValueError, match=r"adapters\.merge: the adapter is of models"):
        merge(other, found)


@pytest.fixture(scope="module")
def tuned(model, tmp_path_factory):
    """Two seeds of an adapter, trained from one model."""
    training = Training(
        steps=6,
        batch_size=None,
        learning_rate=1e-2,
        every=3,
        seeds=2,
        checkpoints="linear",
        lora=LoRA(2, 4.0, ("blocks.attn.W_V", "W_U")),
    )
    folder = str(tmp_path_factory.mktemp("lora"))
    return train(CONFIG, TASK, training, folder, start=model), training, folder


def test_training_moves_low_ranks_of_what_is_named_and_nothing_else(model, tuned):
    base, whole = named_leaves(model), TASK.examples("train")
    seeds = tuned[0]
    for trajectory in seeds:
        first, last = (named_leaves(trajectory.load(step)) for step in (0, 6))
        for name, leaf in base.items():
            np.testing.assert_array_equal(first[name], leaf)
            change = np.asarray(last[name] - leaf)
            if name in ("blocks.attn.W_V", "W_U"):
                matrix = change.reshape(
                    *leaf.shape[: leaf.ndim - 2 - (name != "W_U")], 8, -1
                )
                spectrum = np.linalg.svd(matrix, compute_uv=False)
                assert (spectrum[..., 0] > 1e-3).all()
                # Differences of weights keep their rounding.
                assert (spectrum[..., 2:] < 1e-5 * spectrum[..., :1] + 1e-6).all()
            else:
                np.testing.assert_array_equal(change, 0)
        loss = [CrossEntropy().mean(trajectory.load(s), whole) for s in (0, 6)]
        assert loss[1] < loss[0]
    # Seeds differ in A.
    assert not np.array_equal(*(t.load(6).W_U for t in seeds))


def test_an_adapter_that_was_stopped_goes_on(model, tuned, tmp_path):
    trajectories, training, _ = tuned

    def stop(step, loss):
        del loss
        if step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, TASK, training, str(tmp_path), start=model, on_progress=stop)
    (on, _) = train(CONFIG, TASK, training, str(tmp_path), start=model)
    assert eqx.tree_equal(on.load(6), trajectories[0].load(6))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "at least 1"),
        ({"rank": 8}, "no restriction"),
        ({"rank": 1, "over": ("W_X",)}, "unknown parameter path"),
        ({"rank": 1, "over": ("blocks.ln1",)}, "matches no matrix"),
        ({"rank": 1, "over": ()}, "empty"),
    ],
)
def test_what_cannot_be_adapted_is_told(model, options, message):
    with pytest.raises(ValueError, match=message):
        lora(model, key=jr.key(0), **options)


def test_a_study_says_it_in_plain_words():
    assert LoRA.from_dict({"rank": 2, "over": "W_U"}) == LoRA(2, 1.0, ("W_U",))
    for wrong, message in (({"rnk": 1}, "rank"), ({"rank": "2"}, "whole number")):
        with pytest.raises(ValueError, match=message):
            LoRA.from_dict(wrong)
    with pytest.raises(ValueError, match="lora"):
        Training(lora=LoRA(1), freeze=("W_E",))
