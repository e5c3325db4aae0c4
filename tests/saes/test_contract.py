"""What every architecture owes: one contract for all rows of the catalogue."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc import saes
from jaxcirc._core import named_leaves

D_IN, D_SAE, D_OUT, BATCH = 6, 16, 5, 24
ROWS = saes.ARCHITECTURES.own
KEY = jax.random.key(0)


def build(row, **more):
    return row.build(**({"d_in": D_IN, "d_sae": D_SAE} | row.tiny | more))


def activations(config, seed=0, width=None):
    axes = () if config.sites is None else (config.sites,)
    shape = (BATCH, *axes, width or config.d_in)
    x = np.random.default_rng(seed).normal(size=shape) * 2
    return jnp.asarray(x, jnp.float32)


def targets(config, x):
    return x if config.d_out is None else activations(config, 1, config.d_out)


def trained(config):
    """A dictionary off its beginning, where nothing is 0 or tied by accident."""
    dictionary = config.init(KEY)
    rng = np.random.default_rng(2)
    leaves, tree = jax.tree.flatten(dictionary)
    moved = [
        leaf + jnp.asarray(0.1 * abs(rng.normal(size=leaf.shape)), leaf.dtype)
        if eqx.is_inexact_array(leaf)
        else leaf
        for leaf in leaves
    ]
    return jax.tree.unflatten(tree, moved)


def state_with_dead(n=5):
    state = saes.State.new(D_SAE).at(0.5)
    return dataclasses.replace(state, silent=jnp.where(jnp.arange(D_SAE) < n, 1e9, 0))


@eqx.filter_jit
def losses(config, dictionary, x, target, state):
    loss = lambda d: config.loss(d, x, target, state)
    return eqx.filter_value_and_grad(loss, has_aux=True)(dictionary)


@pytest.fixture(params=ROWS, ids=lambda row: row.name)
def row(request):
    return request.param


@pytest.fixture
def case(row):
    config = build(row)
    x = activations(config)
    return config, trained(config), x, targets(config, x), state_with_dead()


def test_it_begins_with_tied_rows_of_one_length_and_no_biases(row):
    config = build(row)
    dictionary = config.init(KEY)
    lengths = jnp.linalg.norm(dictionary.W_dec, axis=-1)
    np.testing.assert_allclose(lengths, config.decoder_norm, rtol=1e-5)
    assert not dictionary.b_dec.any()
    if config.d_out is None:
        reads = jnp.moveaxis(dictionary.W_enc, -1, 0)
        np.testing.assert_array_equal(reads, dictionary.W_dec)


def test_latents_are_sparse_and_not_negative(case):
    config, dictionary, x, target, _ = case
    f = dictionary.encode(x)
    assert f.shape == (BATCH, D_SAE)
    assert (f >= 0).all()
    assert (f == 0).any()
    out = dictionary(x)
    assert out.shape == target.shape
    np.testing.assert_array_equal(out, dictionary.output(x, f))


def test_leading_axes_are_batch_axes(case):
    _, dictionary, x, _, _ = case
    twice = x.reshape(2, BATCH // 2, *x.shape[1:])
    np.testing.assert_allclose(
        dictionary.encode(twice).reshape(BATCH, -1), dictionary.encode(x), rtol=2e-6
    )
    np.testing.assert_allclose(
        dictionary.encode(x[0]), dictionary.encode(x)[0], rtol=2e-6, atol=1e-6
    )


def test_the_loss_is_the_sum_of_its_terms(case):
    (value, terms), _ = losses(*case)
    parts = terms.reconstruction + terms.sparsity + terms.auxiliary
    np.testing.assert_allclose(value, parts, rtol=1e-6)
    assert 0 < terms.l0 <= D_SAE
    np.testing.assert_allclose(terms.dead, 5 / D_SAE, rtol=1e-6)


def test_the_loss_of_a_batch_twice_is_the_loss_of_the_batch(case):
    """Every part is a mean over the batch."""
    config, dictionary, x, target, state = case
    (once, _), _ = losses(config, dictionary, x, target, state)
    twice = [jnp.concatenate([y, y]) for y in (x, target)]
    (value, _), _ = losses(config, dictionary, *twice, state)
    np.testing.assert_allclose(value, once, rtol=1e-5)


def test_every_parameter_has_a_finite_gradient(case):
    _, gradients = losses(*case)
    for name, gradient in named_leaves(gradients).items():
        assert np.isfinite(gradient).all(), name
        if name != "nonlinearity.threshold":
            assert (gradient != 0).any(), name


def test_a_step_down_the_gradient_lowers_the_loss(case):
    config, dictionary, x, target, state = case
    (before, _), gradients = losses(*case)
    size = sum(jnp.square(g).sum() for g in jax.tree.leaves(gradients))
    step = lambda p, g: p if g is None else p - 1e-4 * before / size * g
    is_none = lambda g: g is None
    moved = jax.tree.map(step, dictionary, gradients, is_leaf=is_none)
    (after, _), _ = losses(config, moved, x, target, state)
    assert after < before


def test_silence_is_counted_in_tokens(case):
    config, dictionary, x, target, state = case
    (_, terms), _ = losses(*case)
    silent = terms.state.silent
    fired = silent == 0
    assert fired.any()
    np.testing.assert_array_equal(
        silent[~fired], (state.silent + BATCH)[np.asarray(~fired)]
    )


def test_a_stack_is_its_members(row):
    """Coefficients are leaves: one program trains members that differ in them."""
    names = [k for k in row.tiny if k in ("k", "l1", "l0", "target_l0")]
    if not names:
        pytest.skip("no coefficient to vary")
    values = [row.tiny[names[0]], row.tiny[names[0]] + 1]
    configs = [build(row, **{names[0]: value}) for value in values]
    stacked = saes.stack_configs(configs)
    dictionary = trained(configs[0])
    x = activations(configs[0])
    target, state = targets(configs[0], x), state_with_dead()
    one = [config.loss(dictionary, x, target, state) for config in configs]
    of_stack = jax.vmap(lambda config: config.loss(dictionary, x, target, state))
    value, terms = of_stack(stacked)
    for i, (alone, alone_terms) in enumerate(one):
        np.testing.assert_allclose(value[i], alone, rtol=1e-5)
        np.testing.assert_allclose(terms.l0[i], alone_terms.l0, rtol=1e-6)


def test_another_width_is_refused(case):
    config, dictionary, x, target, state = case
    with pytest.raises(ValueError, match="last axes are"):
        dictionary.encode(x[..., :-1])
    with pytest.raises(ValueError, match="the target is"):
        config.loss(dictionary, x, target[..., :-1], state)


@pytest.mark.parametrize("wrong", [{"d_sae": 0}, {"d_in": 0}])
def test_no_size_is_refused(row, wrong):
    with pytest.raises(ValueError, match="at least 1|has 0"):
        build(row, **wrong)
