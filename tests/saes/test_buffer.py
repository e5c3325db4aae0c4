"""The buffer of activations: each row once, exact counts, an order of the key alone."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc.checkpoints import load_tensors, save_tensors
from jaxcirc.models import Transformer, TransformerConfig, capture
from jaxcirc.saes._array_activations import ArrayActivations, read_rows
from jaxcirc.saes._buffer import empty_buffer, refill, served, without
from jaxcirc.saes._model_activations import ModelActivations
from jaxcirc.saes._sampled import SampledActivations
from jaxcirc.saes._source import Rows

PER_DRAW, SIZE, BATCH = 12, 48, 8


def numbered(number):
    """Rows that say which one they are; every third is masked out."""
    name = number * PER_DRAW + jnp.arange(PER_DRAW)
    return Rows(name[:, None].astype(jnp.float32)), name % 3 != 0


@functools.partial(jax.jit, static_argnames="n_batches")
def cycle(buffer, key, n_batches):
    buffer = refill(buffer, numbered, SIZE, key=key)
    given = jnp.stack([served(buffer, i, BATCH).input for i in range(n_batches)])
    return without(buffer, n_batches * BATCH), given, buffer.waiting


def start():
    return empty_buffer(SIZE, jax.eval_shape(numbered, jnp.int32(0))[0])


def run(buffer, cycles, key=0):
    given = []
    for i in cycles:
        buffer, rows, _ = cycle(buffer, jr.fold_in(jr.key(key), i), 3)
        given.append(np.asarray(rows).ravel().astype(int))
    return buffer, np.concatenate(given)


def test_every_row_is_served_at_most_once_and_counts_are_exact():
    buffer, given = run(start(), range(40))
    assert len(given) == 40 * 3 * BATCH == len(set(given))
    assert (given % 3 != 0).all()  # what the mask left out is never served
    drawn = int(buffer.drawn) * PER_DRAW
    assert given.max() < drawn
    kept = {i for i in range(drawn) if i % 3}
    # Nothing is lost: what was not served waits, once each.
    waiting = buffer.rows.input[buffer.order[: int(buffer.waiting)], 0].astype(int)
    assert sorted([*given, *waiting.tolist()]) == sorted(kept)
    assert int(buffer.seen) == len(kept)
    assert sorted(buffer.order.tolist()) == list(range(buffer.slots))


def test_a_refill_takes_no_more_draws_than_it_needs():
    _, _, waiting = cycle(start(), jr.key(0), 3)
    assert SIZE <= int(waiting) < SIZE + PER_DRAW


def test_the_order_is_a_function_of_the_key():
    _, first = run(start(), range(5), key=1)
    _, again = run(start(), range(5), key=1)
    _, other = run(start(), range(5), key=2)
    assert (first == again).all()
    assert (first != other).any()


def test_documents_are_mixed():
    # A batch of 8 rows is of 6 draws or so; one of consecutive rows would be of 1 or 2.
    _, given = run(start(), range(10))
    batches = given.reshape(-1, BATCH) // PER_DRAW
    draws = [len(set(batch)) for batch in batches]
    assert min(draws) > 2


def test_a_buffer_that_was_saved_goes_on_bit_for_bit(tmp_path):
    _, whole = run(start(), range(8))
    buffer, first = run(start(), range(3))
    save_tensors(str(tmp_path / "buffer.safetensors"), buffer)
    loaded = load_tensors(str(tmp_path / "buffer.safetensors"), start())
    _, rest = run(loaded, range(3, 8))
    assert (np.concatenate([first, rest]) == whole).all()


def test_a_source_that_keeps_nothing_ends_the_refill_and_says_so():
    def nothing(number):
        rows, keep = numbered(number)
        return rows, jnp.zeros_like(keep)

    found = jax.jit(lambda b: refill(b, nothing, SIZE, key=jr.key(0)))(start())
    assert bool(found.starved)
    assert not bool(start().starved)


@pytest.mark.parametrize(("bad", "finite"), [(1, False), (0, True)])
def test_what_is_not_finite_is_told_unless_it_is_masked(bad, finite):
    def source(number):
        rows, keep = numbered(number)
        return Rows(rows.input.at[bad].set(jnp.nan)), keep

    found = jax.jit(lambda b: refill(b, source, SIZE, key=jr.key(0)))(start())
    assert bool(found.finite) == finite


def test_an_array_gives_each_of_its_rows_once_in_a_pass():
    rows = Rows(jnp.arange(30.0)[:, None])
    source = ArrayActivations(rows, 7, passes=2, key=jr.key(0))
    assert source.most == 2 * 4
    drawn = [source.draw(jnp.int32(i))[0].input[:, 0] for i in range(8)]
    for one_pass in (drawn[:4], drawn[4:]):
        each = np.concatenate(one_pass)
        assert len(set(each.tolist())) == 28
    # Rows of a draw are far apart in the array.
    assert np.diff(np.sort(drawn[0])).min() == 4


def test_a_sampler_gives_other_rows_at_every_draw():
    class Normal(eqx.Module):
        def sample(self, n, *, key):
            return jr.normal(key, (n, 4))

    source = SampledActivations(Normal(), 5, jr.key(0))
    a, b, again = (source.draw(jnp.int32(i))[0].input for i in (0, 1, 0))
    assert a.shape == (5, 4)
    assert (a == again).all()
    assert (a != b).any()


@pytest.fixture(scope="module")
def model():
    config = TransformerConfig(
        d_vocab=11, n_ctx=6, n_layers=3, d_model=8, n_heads=2, d_mlp=12
    )
    return Transformer(config, key=jr.key(0))


@pytest.fixture(scope="module")
def tokens():
    return jr.randint(jr.key(1), (10, 6), 0, 11)


def test_rows_of_a_model_are_its_activations_in_all_layers(model, tokens):
    source = ModelActivations(
        model, tokens, ["resid_post"], sequences=10, skip_first=1, ignore=[3],
        key=jr.key(2),
    )  # fmt: skip
    rows, keep = eqx.filter_jit(source.draw)(jnp.int32(0))
    assert (source.axes, source.shape) == (("layer",), (3,))
    assert rows.input.shape == (60, 3, 8)
    acts = capture(model, tokens, ("resid_post",))[1]["resid_post"]
    # One draw is all sequences, each spread by one: in their own order.
    np.testing.assert_allclose(
        rows.input.reshape(10, 6, 3, 8), jnp.moveaxis(acts, 0, 2), rtol=1e-5, atol=1e-6
    )
    expected = np.array(tokens != 3)
    expected[:, 0] = False
    assert (keep.reshape(10, 6) == expected).all()


def test_checkpoints_are_read_on_the_same_tokens(model, tokens):
    other = jax.tree.map(lambda x: x * 1.5, model)
    both = jax.tree.map(lambda *x: jnp.stack(x), model, other)
    names = ["blocks.1.hook_mlp_in"], ["blocks.1.hook_mlp_out"]
    draw = eqx.filter_jit(lambda s: s.draw(jnp.int32(0))[0])
    make = lambda m: ModelActivations(m, tokens, *names, sequences=4, key=jr.key(0))
    stacked = make(both)
    assert (stacked.axes, stacked.shape) == (("checkpoint",), (2,))
    rows = draw(stacked)
    for i, one in enumerate((model, other)):
        alone = draw(make(one))
        for a, b in zip(rows, alone, strict=True):
            np.testing.assert_allclose(a[:, i], b, rtol=1e-5, atol=1e-6)


def test_several_sites_are_an_axis_and_heads_are_one_width(model, tokens):
    names = ["blocks.0.attn.hook_z", "blocks.2.hook_resid_pre"]
    source = ModelActivations(model, tokens, names, sequences=2, key=jr.key(0))
    assert (source.axes, source.shape) == (("site",), (2,))
    assert eqx.filter_eval_shape(source.draw, jnp.int32(0))[0].input.shape == (12, 2, 8)


def test_layers_behind_the_last_site_are_not_run(model, tokens):
    read = lambda name: ModelActivations(
        model, tokens, [name], sequences=10, key=jr.key(0)
    )
    source = read("blocks.1.hook_mlp_out")
    assert (source.models.config.n_layers, model.config.n_layers) == (2, 3)
    assert read("blocks.2.hook_mlp_out").models is model
    rows = source.draw(jnp.int32(0))[0].input
    acts = capture(model, tokens, ("blocks.1.hook_mlp_out",))[1]
    np.testing.assert_allclose(
        rows.reshape(10, 6, 8), acts["blocks.1.hook_mlp_out"], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("sites", "words"),
    [
        (["resid_pots"], "did you mean 'resid_post'"),
        (["attn.pattern"], "not a row of numbers for each position"),
        (["resid_post", "blocks.0.hook_mlp_out"], "'blocks.0.hook_resid_post'"),
        (["blocks.0.mlp.hook_post", "blocks.0.hook_mlp_out"], "must have one width"),
        (["blocks.7.hook_mlp_out"], "the model has 3 layers"),
    ],
)
def test_sites_without_rows_are_refused(model, tokens, sites, words):
    with pytest.raises(ValueError, match=words):
        ModelActivations(model, tokens, sites, key=jr.key(0))


def test_tokens_that_the_model_lacks_are_refused(model, tokens):
    with pytest.raises(ValueError, match=r"must be in \[0, 11\); got 0 to 12"):
        ModelActivations(model, tokens.at[0, 0].set(12), ["embed"], key=jr.key(0))


def test_files_and_arrays_are_read_and_bad_ones_refused(tmp_path):
    x = np.arange(12.0, dtype=np.float32).reshape(6, 2)
    np.save(tmp_path / "x.npy", x)
    assert (read_rows(str(tmp_path / "x.npy")).input == x).all()
    assert read_rows((x, x[:, :1])).target.shape == (6, 1)
    bad = x.copy()
    bad[4, 1] = np.nan
    with jax.debug_nans(False), pytest.raises(ValueError, match="first in row 4"):
        read_rows(bad)
    with pytest.raises(ValueError, match="cannot be read"):
        read_rows(str(tmp_path / "none.npy"))
    with pytest.raises(ValueError, match=r"got ndarray of shape \(6,\)"):
        read_rows(x[:, 0])
    with pytest.raises(ValueError, match="must be of the same rows"):
        read_rows((x, x[:3]))
