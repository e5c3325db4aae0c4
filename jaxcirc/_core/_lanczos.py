"""Extreme eigenvalues and spectral sums of a symmetric operator, by Lanczos."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key, PyTree

from ._vectors import inner, linear_combination, normal_like


class Quadrature(NamedTuple):
    """Nodes and weights: Σ weights · f(nodes) ≈ trace f(A) / d, for any smooth f.

    The largest node is the largest eigenvalue, to high accuracy once there are a few
    dozen (Golub & Meurant 2010; Ghorbani et al. 2019).

    Args:
        nodes: Ritz values, ascending, for each probe.
        weights: Squared first components of their vectors; each probe's sum to 1.
    """

    nodes: Float[Array, "probe node"]
    weights: Float[Array, "probe node"]


def lanczos(
    matvec: Callable[[PyTree], PyTree],
    like: PyTree,
    *,
    num_nodes: int,
    num_probes: int,
    mask: Callable[[PyTree], PyTree] = lambda v: v,
    key: Key[Array, ""],
) -> Quadrature:
    """Stochastic Lanczos quadrature of a symmetric operator on pytrees.

    Fully reorthogonalised, so it keeps `num_nodes` vectors.

    Args:
        matvec: The operator.
        like: A vector of its space.
        num_nodes: Iterations, at most the dimension.
        num_probes: Random starts, mapped one after the other.
        mask: Projects a random vector into a subspace that the operator keeps.
        key: Of the starts.
    """

    def probe(key: Key[Array, ""]) -> tuple[Array, Array]:
        start = mask(normal_like(key, like))
        first = _scale(1 / jnp.sqrt(inner(start, start)), start)
        basis = jax.tree.map(lambda x: jnp.zeros((num_nodes, *x.shape), x.dtype), first)

        def body(i, carry):
            basis, v, alphas, betas = carry
            basis = jax.tree.map(lambda b, x: b.at[i].set(x), basis, v)
            w = matvec(v)
            alpha = inner(w, v)
            # Twice is enough (Parlett): the basis stays orthogonal to rounding.
            w = _orthogonalize(basis, _orthogonalize(basis, w))
            beta = jnp.sqrt(inner(w, w))
            # An exhausted space gives zeros from here on, and nodes of weight zero.
            safe = jnp.where(beta > 1e-12, beta, 1)
            v = _scale(jnp.where(beta > 1e-12, 1 / safe, 0), w)
            return basis, v, alphas.at[i].set(alpha), betas.at[i].set(beta)

        dtype = inner(first, first).dtype
        zeros = jnp.zeros(num_nodes, dtype)
        _, _, alphas, betas = jax.lax.fori_loop(
            0, num_nodes, body, (basis, first, zeros, zeros)
        )
        off = betas[:-1]
        tridiagonal = jnp.diag(alphas) + jnp.diag(off, 1) + jnp.diag(off, -1)
        nodes, vectors = jnp.linalg.eigh(tridiagonal)
        return nodes, vectors[0] ** 2

    return Quadrature(*jax.lax.map(probe, jr.split(key, num_probes)))


def _orthogonalize(basis: PyTree, w: PyTree) -> PyTree:
    along = _project(basis, w)
    return jax.tree.map(
        lambda x, b: x - jnp.tensordot(along.astype(x.dtype), b, 1), w, basis
    )


def _scale(c: Array, v: PyTree) -> PyTree:
    return linear_combination((c, v))


def _project(basis: PyTree, w: PyTree) -> Float[Array, " node"]:
    """Inner products of `w` with every row of the basis."""
    parts = jax.tree.map(
        lambda b, x: b.reshape(b.shape[0], -1) @ x.reshape(-1), basis, w
    )
    leaves = jax.tree.leaves(parts)
    total = leaves[0]
    for leaf in leaves[1:]:
        total = total + leaf.astype(total.dtype)
    return total
