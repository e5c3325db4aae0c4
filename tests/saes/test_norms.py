"""Scales of activations are weights' business in the end."""

import dataclasses

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import saes
from jaxcirc.saes._norms import folded, measured

D, N, BATCH = 6, 16, 40


def drawn(config):
    made = config.init(jr.key(0))
    rows = jr.normal(jr.key(1), made.W_dec.shape)
    bias = jr.normal(jr.key(2), made.b_dec.shape)
    return dataclasses.replace(made, W_dec=rows, b_dec=bias)


@pytest.mark.parametrize(
    "config",
    [
        saes.Standard(d_in=D, d_sae=N),
        saes.TopK(d_in=D, d_sae=N, k=3),
        saes.BatchTopK(d_in=D, d_sae=N, k=3),
        saes.JumpReLU(d_in=D, d_sae=N, threshold=0.2, target_l0=3),
        saes.Gated(d_in=D, d_sae=N),
        saes.TopK(d_in=D, d_sae=N, k=3, d_out=D, skip=True),
        saes.TopK(d_in=D, d_sae=N, k=3, sites=2),
    ],
    ids=lambda c: type(c).__name__,
)
def test_a_folded_dictionary_does_on_raw_activations_what_it_did_on_scaled(config):
    dictionary = drawn(config)
    if isinstance(config, saes.BatchTopK):
        state = dataclasses.replace(saes.State.new(N), threshold=jnp.asarray(0.5))
        dictionary = config.finished(dictionary, state)
    sites = () if config.sites is None else (config.sites,)
    inward = jnp.linspace(0.5, 2.0, 2)[: config.sites] if sites else jnp.asarray(0.5)
    outward = inward if config.d_out is None else jnp.asarray(3.0)
    x = jr.normal(jr.key(3), (BATCH, *sites, D))
    raw = folded(dictionary, inward, outward)
    scaled = lambda x, by: x * jnp.broadcast_to(by[..., None], x.shape)
    np.testing.assert_allclose(
        scaled(raw(x), outward), dictionary(scaled(x, inward)), rtol=1e-4, atol=1e-4
    )
    same = raw.encode(x) > 0, dictionary.encode(scaled(x, inward)) > 0
    assert (same[0] == same[1]).all()


def test_measured_rows_have_a_mean_norm_of_root_d():
    x = 7 * jr.normal(jr.key(0), (100, 3, D)) + 2
    counts = jnp.arange(100) < 60
    norms = measured(x, x, counts, normalise=True)
    scaled = x[:60] * norms.scale_in[None, :, None]
    np.testing.assert_allclose(
        jnp.linalg.norm(scaled, axis=-1).mean(0), D**0.5, rtol=1e-5
    )
    np.testing.assert_allclose(norms.mean_out, scaled.mean(0), rtol=1e-4)
    plain = measured(x, x, counts, normalise=False)
    np.testing.assert_allclose(plain.scale_in, 1.0)
