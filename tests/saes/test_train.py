"""Training: stacked as alone, killed as whole, and what is refused before it starts."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import saes
from jaxcirc.checkpoints import CheckpointError
from jaxcirc.models import Transformer, TransformerConfig, capture
from jaxcirc.saes import _train
from jaxcirc.saes._norms import folded

D, N = 6, 12
TRAINING = saes.Training(
    steps=20, batch_size=16, buffer_batches=6, sequences=4, learning_rate=3e-3
)
CONFIG = saes.TopK(d_in=D, d_sae=N, k=2)
KEY = jr.key(7)


@pytest.fixture(scope="module")
def truth():
    return saes.planted(N, D, l0=2.0, key=jr.key(0))


@pytest.fixture(scope="module")
def model():
    config = TransformerConfig(
        d_vocab=11, n_ctx=6, n_layers=2, d_model=D, n_heads=2, d_mlp=8
    )
    return Transformer(config, key=jr.key(0))


@pytest.fixture(scope="module")
def tokens():
    return jr.randint(jr.key(1), (40, 6), 0, 11)


def of_truth(truth, training=TRAINING, config=CONFIG, **options):
    return saes.train(config, None, None, truth, training, key=KEY, **options)


def assert_close(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5)


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


@pytest.fixture(scope="module")
def stacked(model, tokens):
    """Two checkpoints × two layers × two values of k × two seeds, on four devices."""
    models = [model, jax.tree.map(lambda x: 1.2 * x, model)]
    training = dataclasses.replace(TRAINING, steps=9, seeds=2, passes=4)
    configs = [dataclasses.replace(CONFIG, k=k) for k in (1, 3)]
    found = saes.train(configs, models, "resid_post", tokens, training, key=KEY)
    return models, training, configs, found


def test_stacked_dictionaries_have_named_axes(stacked):
    found = stacked[-1]
    assert found.axes == ("checkpoint", "layer", "config", "seed")
    assert found.shape == (2, 2, 2, 2)
    assert found.history["loss"].shape == (2, 2, 2, 2, 9)
    assert np.isfinite(found.history["loss"]).all()
    assert found[1, 0, 1, 0].W_enc.shape == (D, N)
    assert_same(found.at(checkpoint=1, layer=0, config=1, seed=0), found[1, 0, 1, 0])
    # Each member is of its own: no two have come to the same weights.
    flat = np.asarray(found.dictionary.W_dec).reshape(16, -1)
    assert len(np.unique(flat, axis=0)) == 16


@pytest.mark.parametrize("place", [(0, 1, 0, 0), (1, 0, 1, 0)])
def test_trained_among_many_is_trained_alone(stacked, tokens, place):
    models, training, configs, found = stacked
    checkpoint, layer, which, seed = place
    alone = saes.train(
        configs[which],
        models[checkpoint],
        f"blocks.{layer}.hook_resid_post",
        tokens,
        dataclasses.replace(training, seeds=1),
        key=KEY,
    )
    assert alone.axes == ()
    assert_close(found[place], alone[()])
    for name, array in alone.history.items():
        np.testing.assert_allclose(
            found.history[name][place], array, rtol=2e-4, atol=1e-5
        )


def test_few_of_many_latents_are_trained_over_devices():
    # As many dictionaries as devices, and so few latents at a time that rows of weights
    # are added up: each program alone compiles, and so has to both in one.
    truth = saes.planted(32, D, l0=1.0, key=jr.key(0))
    training = dataclasses.replace(TRAINING, steps=4, seeds=4)
    config = saes.TopK(d_in=D, d_sae=32, k=2)
    found = of_truth(truth, training, config)
    alone = of_truth(truth, dataclasses.replace(training, seeds=1), config)
    assert_close(found[0], alone[()])


class Killed(Exception):
    pass


def test_killed_anywhere_and_resumed_is_the_same_bits(truth, tmp_path, monkeypatch):
    whole = of_truth(truth)
    monkeypatch.setattr(_train, "SECONDS_BETWEEN_STATES", 0.0)
    folder = str(tmp_path)

    def kill(step, loss):
        raise Killed

    # Killed again and again: at each call one refill is reached, and then the end.
    killed = 0
    while True:
        try:
            found = of_truth(truth, folder=folder, on_progress=kill)
        except Killed:
            killed += 1
            # The state of these steps is not saved yet, so let one call save it.
            seen = []

            def kill_second(step, loss, seen=seen):
                seen.append(step)
                if len(seen) == 2:
                    raise Killed

            try:
                found = of_truth(truth, folder=folder, on_progress=kill_second)
            except Killed:
                continue
        break
    assert killed > 2
    assert_same(found, whole)
    # And a training that is over is read, not made again.
    assert_same(of_truth(truth, folder=folder, on_progress=kill), whole)


def test_a_folder_of_another_training_is_refused(truth, tmp_path):
    of_truth(truth, folder=str(tmp_path))
    other = dataclasses.replace(TRAINING, learning_rate=1e-3)
    with pytest.raises(CheckpointError, match="a training with other settings"):
        of_truth(truth, other, folder=str(tmp_path))


def test_the_first_loss_is_that_of_scaled_activations(truth):
    # The first step's numbers are those of a fresh dictionary on scaled activations,
    # whose mean norm is √d, with the mean as its bias.
    class Constant(eqx.Module):
        def sample(self, n, *, key):
            return jnp.tile(jnp.array([3.0, 4.0, 0, 0, 0, 0]), (n, 1))

    found = of_truth(Constant())
    # All of it is the mean, which the bias gives before any update.
    np.testing.assert_allclose(found.history["reconstruction"][0], 0, atol=1e-9)
    np.testing.assert_allclose(found[()].b_dec[:2], [3.0, 4.0], rtol=0.01)


def test_scales_are_folded_back_into_weights(truth):
    found = of_truth(truth)[()]
    x = truth.sample(50, key=jr.key(3)).activations
    scaled = folded(found, jnp.asarray(0.5), jnp.asarray(0.5))
    # Twice the activations, twice the output.
    np.testing.assert_allclose(scaled(2 * x), 2 * found(x), rtol=1e-4, atol=1e-5)
    assert_close(folded(scaled, jnp.asarray(2.0), jnp.asarray(2.0)), found)


def test_it_learns_what_is_planted():
    truth = saes.planted(N, D, l0=1.0, exponent=0.0, key=jr.key(0))
    training = dataclasses.replace(TRAINING, steps=1500, batch_size=64)
    found = of_truth(truth, training, dataclasses.replace(CONFIG, k=1))
    fvu = found.history["fvu"]
    assert fvu[-100:].mean() < 0.5 * fvu[:10].mean()


def test_a_warm_start_keeps_the_index_of_latents(truth):
    first = of_truth(truth)
    training = dataclasses.replace(TRAINING, steps=3, learning_rate=1e-9)
    second = of_truth(truth, training, start=first[()])
    assert_close(second.dictionary, first.dictionary)
    # With axes of its own, too.
    seeds = dataclasses.replace(training, seeds=2)
    two = of_truth(truth, seeds, start=first[()])
    assert_close(
        of_truth(truth, seeds, start=two.dictionary).dictionary, two.dictionary
    )
    with pytest.raises(ValueError, match="dictionaries of shape"):
        of_truth(truth, training, start=two.dictionary)


def test_seeds_begin_alike_everywhere(stacked):
    # Checkpoints, layers and k have one start for each seed: after a step of next to
    # no size, the same directions.
    models, training, configs, _ = stacked
    training = dataclasses.replace(
        training, steps=1, batch_size=8, learning_rate=1e-9, centre=False
    )
    tokens = jnp.zeros((40, 6), int)
    found = saes.train(configs, models, "resid_post", tokens, training, key=KEY)
    W = found.dictionary.W_dec
    W = W / jnp.linalg.norm(W, axis=-1, keepdims=True)
    np.testing.assert_allclose(W, jnp.broadcast_to(W[:1, :1, :1], W.shape), atol=1e-5)
    assert jnp.abs(W[0, 0, 0, 0] - W[0, 0, 0, 1]).max() > 0.1


def test_a_transcoder_gives_another_site(model, tokens):
    config = saes.TopK(d_in=D, d_sae=N, k=2, d_out=D, skip=True)
    training = dataclasses.replace(TRAINING, passes=9)
    names = "blocks.1.hook_mlp_in", "blocks.1.hook_mlp_out"
    found = saes.train(
        config, model, names[0], tokens, training, target=names[1], key=KEY
    )
    acts = capture(model, tokens, names)[1]
    x, y = (acts[name].reshape(-1, D) for name in names)
    error = lambda out: float(jnp.square(y - out).sum())
    # It stands for the target: better than the mean, which it began with.
    assert error(found[()](x)) < error(y.mean(0, keepdims=True))
    with pytest.raises(ValueError, match="no transcoder"):
        saes.train(CONFIG, model, names[0], tokens, training, target=names[1], key=KEY)
    with pytest.raises(ValueError, match="needs a `target`"):
        saes.train(
            dataclasses.replace(config, d_out=5), model, names[0], tokens, training,
            key=KEY,
        )  # fmt: skip


@pytest.mark.parametrize("over", ["layer", "checkpoint"])
def test_a_crosscoder_reads_an_axis_at_once(model, tokens, over):
    models = [model, jax.tree.map(lambda x: 1.2 * x, model)]
    config = saes.TopK(d_in=D, d_sae=N, k=2, sites=2)
    training = dataclasses.replace(TRAINING, steps=5, passes=9)
    args = (config, models, "resid_post", tokens, training)
    found = saes.train(*args, key=KEY, over=over)
    assert found.axes == ({"layer": "checkpoint", "checkpoint": "layer"}[over],)
    assert found.dictionary.W_dec.shape == (2, N, 2, D)
    with pytest.raises(ValueError, match="say which one"):
        saes.train(*args, key=KEY)


def test_what_training_cannot_do_is_refused_before_it_starts(model, tokens, truth):
    args = (model, "resid_post", tokens)
    with pytest.raises(ValueError, match="did you mean 'resid_post'"):
        saes.train(CONFIG, model, "resid_pots", tokens, TRAINING, key=KEY)
    with pytest.raises(ValueError, match="Give `d_in=6`"):
        saes.train(dataclasses.replace(CONFIG, d_in=7), *args, TRAINING, key=KEY)
    with pytest.raises(ValueError, match="take 320 activations, each once, and the"):
        saes.train(CONFIG, *args, TRAINING, key=KEY)
    huge = dataclasses.replace(CONFIG, d_sae=10**9)
    with pytest.raises(ValueError, match="GB with their buffer"):
        of_truth(truth, config=huge)
    with pytest.raises(ValueError, match="TopK has none"):
        of_truth(truth, dataclasses.replace(TRAINING, target_l0=2.0))
    own = saes.JumpReLU(d_in=D, d_sae=N, target_l0=3)
    with pytest.raises(ValueError, match="has a target of its own"):
        of_truth(truth, dataclasses.replace(TRAINING, target_l0=2.0), own)
    with pytest.raises(ValueError, match="first in row 3"), jax.debug_nans(False):
        of_truth(jnp.ones((400, D)).at[3, 2].set(jnp.nan))


def test_a_model_that_gives_nan_stops_training(model, tokens):
    broken = eqx.tree_at(lambda m: m.W_E, model, model.W_E.at[4].set(jnp.nan))
    training = dataclasses.replace(TRAINING, passes=9)
    with jax.debug_nans(False), pytest.raises(ValueError, match="NaN or infinite"):
        saes.train(CONFIG, broken, "resid_post", tokens, training, key=KEY)


def test_a_mask_that_leaves_too_little_is_told(model, tokens):
    training = dataclasses.replace(TRAINING, passes=2, skip_first=5)
    with pytest.raises(ValueError, match="data ended after step"):
        saes.train(CONFIG, model, "resid_post", tokens, training, key=KEY)


@pytest.mark.parametrize(("l1", "words"), [(1e4, "no latent fires"), (0.0, "nearly")])
def test_dead_on_arrival_is_told_with_its_cause(truth, l1, words):
    class Positive(eqx.Module):
        def sample(self, n, *, key):
            return jnp.abs(jr.normal(key, (n, D)))

    config = saes.Standard(d_in=D, d_sae=N, l1=l1, warm_up=0.0)
    data = truth if l1 else Positive()
    training = dataclasses.replace(TRAINING, steps=200, learning_rate=0.02)
    if not l1:
        # Biases so high that everything fires, which no penalty takes back.
        start = config.init(jr.key(0))
        start = eqx.tree_at(lambda d: d.b_enc, start, jnp.full(N, 100.0))
        with pytest.raises(saes.TrainingFailed, match=words):
            of_truth(data, training, config, start=start)
    else:
        with pytest.raises(saes.TrainingFailed, match=words):
            of_truth(data, training, config)


def test_training_options_out_of_range_are_refused():
    for option, value in {
        "steps": 0, "warmup": 1.5, "decay": -0.1, "b1": 1.0, "clip": 0.0,
        "served_share": 0.0, "skip_first": -1, "target_l0": -1.0,
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=f"`{option}`"):
            saes.Training(**{option: value})


def test_dead_latents_are_resampled(truth):
    # All latents but two begin so low that they never fire.
    config = saes.Standard(d_in=D, d_sae=N, l1=0.01, warm_up=0.0, dead_after=100)
    start = config.init(jr.key(0))
    low = jnp.where(jnp.arange(N) < 2, 0.0, -100.0)
    start = eqx.tree_at(lambda d: d.b_enc, start, low)
    training = dataclasses.replace(TRAINING, steps=40)
    plain = of_truth(truth, training, config, start=start)
    again = dataclasses.replace(training, resample_every=10)
    renewed = of_truth(truth, again, config, start=start)
    assert plain.history["dead"][-1] >= (N - 2) / N
    assert renewed.history["dead"][-1] < 0.5
    assert renewed.history["l0"][-1] > plain.history["l0"][-1]


def test_a_target_of_l0_is_reached(truth):
    config = saes.Standard(d_in=D, d_sae=N, l1=1.0)
    training = dataclasses.replace(
        TRAINING, steps=2000, batch_size=64, target_l0=3.0, learning_rate=5e-3
    )
    found = of_truth(truth, training, config)
    assert found.history["l0"][-200:].mean() == pytest.approx(3.0, rel=0.05)
