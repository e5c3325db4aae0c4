"""Lanczos where spaces end: degenerate, low-rank, small and extreme operators."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from jaxcirc._core import lanczos

from .._wide import double_precision

SIZES = (1, 3, 12, 64)
# What rounding may move an eigenvalue by, in units of the operator's norm.
UNITS = 200


def spectrum(kind: str, size: int) -> np.ndarray:
    rank = max(1, size // 4)
    return {
        "degenerate": np.full(size, 2.0),
        "two_values": np.where(np.arange(size) < rank, 3.0, 1.0),
        "low_rank": np.where(np.arange(size) < rank, np.arange(size) % 4 + 1.0, 0.0),
        "negative": -np.where(np.arange(size) < rank, 5.0, 1.0),
        "zero": np.zeros(size),
    }[kind]


def operator(eigenvalues: np.ndarray, dtype) -> jax.Array:
    n = len(eigenvalues)
    basis = np.linalg.qr(np.random.default_rng(n).normal(size=(n, n)))[0]
    # Symmetric to the last bit, which the product alone is not.
    product = (basis * eigenvalues) @ basis.T
    return jnp.asarray((product + product.T) / 2, dtype)


@pytest.mark.parametrize("kind", ["degenerate", "two_values", "low_rank", "negative"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_only_eigenvalues_of_the_operator_are_found(kind, dtype, scale):
    with double_precision(dtype == "float64"):
        for size in SIZES:
            exact = spectrum(kind, size) * scale
            A = operator(exact, dtype)
            found = lanczos(
                lambda v, A=A: jnp.matmul(A, v, precision="highest"),
                jnp.zeros(size, dtype),
                num_nodes=10,
                num_probes=2,
                key=jr.key(0),
            )
            nodes, weights = np.asarray(found.nodes), np.asarray(found.weights)
            slack = UNITS * np.finfo(dtype).eps * np.abs(exact).max()
            assert np.abs(nodes.max(axis=1) - exact.max()).max() <= slack
            assert (nodes >= exact.min() - slack).all()
            np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
            assert nodes.dtype == dtype


@pytest.mark.parametrize("kind", ["two_values", "negative"])
def test_nodes_beyond_the_end_have_no_weight(kind):
    exact = spectrum(kind, 64)
    A = operator(exact, "float32")
    found = lanczos(
        lambda v: jnp.matmul(A, v, precision="highest"),
        jnp.zeros(64),
        num_nodes=9,
        num_probes=1,
        key=jr.key(0),
    )
    nodes, weights = np.asarray(found.nodes[0]), np.asarray(found.weights[0])
    on = np.abs(nodes - exact.max()) < 1e-3
    # Its random start has a quarter of its squared length there, more or less.
    share = (exact == exact.max()).mean()
    assert weights[on].sum() == pytest.approx(share, abs=0.25)
    assert (weights * nodes).sum() == pytest.approx(
        exact.max() * weights[on].sum() + exact.min() * weights[~on].sum(), rel=1e-4
    )


def test_the_operator_that_is_zero_has_only_zeros():
    found = lanczos(
        jnp.zeros_like, jnp.zeros(7), num_nodes=4, num_probes=2, key=jr.key(0)
    )
    np.testing.assert_array_equal(found.nodes, 0)
    np.testing.assert_allclose(found.weights.sum(axis=1), 1, rtol=1e-6)


def test_a_space_smaller_than_the_number_of_nodes_gives_its_own_eigenvalues():
    exact = np.array([-3.0, -2.0, -1.0])
    A = operator(exact, "float32")
    found = lanczos(
        lambda v: jnp.matmul(A, v, precision="highest"),
        jnp.zeros(3),
        num_nodes=8,
        num_probes=1,
        key=jr.key(1),
    )
    np.testing.assert_allclose(found.nodes[0, -3:], exact, rtol=1e-4)
    # The largest is no zero of a row that the space does not have.
    np.testing.assert_allclose(found.nodes[0, :5], -3, rtol=1e-4)


def test_half_precision_vectors_are_orthogonalised_in_float32():
    like = {"a": jnp.zeros(40, jnp.bfloat16), "b": jnp.zeros((4, 6), jnp.bfloat16)}
    _, unravel = ravel_pytree(like)
    h = jnp.where(jnp.arange(64) < 8, 4.0, 1.0).astype(jnp.bfloat16)
    found = lanczos(
        lambda v: unravel(h * ravel_pytree(v)[0]),
        like,
        num_nodes=6,
        num_probes=1,
        key=jr.key(0),
    )
    assert found.nodes.dtype == jnp.float32
    assert float(found.nodes.max()) == pytest.approx(4, rel=0.02)
    assert float(found.nodes.min()) == pytest.approx(1, rel=0.05)


def test_what_is_not_a_number_stays_so():
    found = lanczos(
        lambda v: v * jnp.nan, jnp.zeros(5), num_nodes=3, num_probes=1, key=jr.key(0)
    )
    assert np.isnan(found.nodes).all()
