"""Sums of few rows are what dense products give, value and gradient."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import saes
from jaxcirc.saes._few import few_loss, loss_of
from jaxcirc.saes._sparse import pays, piece_of

D, N, BATCH = 6, 64, 32


def made(**options):
    config = saes.TopK(d_in=D, d_sae=N, k=3, aux=saes.AuxK(k=2), **options)
    draw = lambda i, like: 0.3 * jr.normal(jr.fold_in(jr.key(0), i), like.shape)
    d = config.init(jr.key(0))
    params, rest = eqx.partition(d, eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten(params)
    params = structure.unflatten([draw(i, x) for i, x in enumerate(leaves)])
    return config, params, rest


@pytest.mark.parametrize("dead", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"d_out": 4, "skip": True}, {"sites": 2}], ids=str
)
def test_value_and_gradient_are_those_of_the_dense_loss(options, dead):
    config, params, rest = made(**options)
    sites = () if config.sites is None else (config.sites,)
    x = jr.normal(jr.key(1), (BATCH, *sites, D))
    y = jr.normal(jr.key(2), (BATCH, *sites, config.d_out or D))
    silent = jnp.where(jnp.arange(N) % 2 == 0, 1e9 * dead, 0.0)
    state = dataclasses.replace(saes.State.new(N), silent=silent)

    def of(loss):
        f = lambda p: loss(eqx.combine(p, rest), x, y, state)
        return jax.jit(jax.value_and_grad(f, has_aux=True))(params)

    (a, dense), g = of(config.loss)
    (b, few), h = of(lambda *args: few_loss(config, *args))
    np.testing.assert_allclose(a, b, rtol=1e-5)
    for left, right in zip(jax.tree.leaves(dense), jax.tree.leaves(few), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5)
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(g))
    for left, right in zip(jax.tree.leaves(g), jax.tree.leaves(h), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5 * scale)
    assert float(few.auxiliary > 0) == dead


def test_it_is_taken_where_it_pays():
    assert piece_of(4096) == 64
    assert piece_of(7 * 13) == 13
    assert pays(4096, 32, 4096)
    assert not pays(4096, 512, 4096)  # many latents: dense products
    assert not pays(97, 1, 4096)  # a prime batch has no pieces
    config, params, rest = made()
    x = jr.normal(jr.key(1), (BATCH, D))
    args = (eqx.combine(params, rest), x, x, saes.State.new(N))
    value = loss_of(config, *args)[0]
    assert value == few_loss(config, *args)[0]
