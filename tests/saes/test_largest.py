"""Selecting by a search is selecting by sorting."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc.saes import _largest


def by_sorting(f, k):
    kth = np.sort(f, axis=-1)[..., -k][..., None]
    return f >= kth


@pytest.fixture(scope="module")
def search():
    return jax.jit(_largest._search)


@pytest.fixture(
    scope="module", params=["normal", "positive", "steep", "equal", "mixed", "zero"]
)
def rows(request):
    z = np.random.default_rng(0).normal(size=(7, 50)).astype(np.float32)
    return {
        "normal": z,
        "positive": np.maximum(z, 0),
        "steep": np.exp(20 * z),
        "equal": np.round(z),
        "mixed": np.where(z > 1, 1e30, -1e-30).astype(np.float32),
        "zero": 0 * z,
    }[request.param]


@pytest.mark.parametrize("k", [1, 3, 25, 50])
def test_the_search_finds_the_kth_value(search, rows, k):
    found = search(jnp.asarray(rows), jnp.int32(k))
    # 0 and -0 are equal to a sort and have an order among integers.
    np.testing.assert_array_equal(found, by_sorting(rows + 0.0, k))


@pytest.mark.parametrize("k", [1, 3])
def test_both_ways_select_the_same(rows, k):
    short = _largest.at_least_kth(jnp.asarray(rows), jnp.int32(k), 5)
    np.testing.assert_array_equal(short, by_sorting(rows, k))
