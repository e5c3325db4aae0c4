"""Extreme eigenvalues and spectral sums of a symmetric operator, by Lanczos."""

import functools
import operator
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from ._dtypes import at_least_float32
from ._vectors import inner, linear_combination, norm, normal_like

# A direction is new if what orthogonalisation leaves of it stands above rounding: so
# many units in the last place of the operator's norm.
ROUNDING = 10.0
# What a second pass takes more of than this was inside the basis (Kahan and Parlett's
# "twice is enough").
KEPT_BY_SECOND_PASS = 0.7


class Quadrature(NamedTuple):
    """Nodes and weights: Σ weights · f(nodes) ≈ trace f(A) / d, for any smooth f.

    The largest node is the largest eigenvalue, to high accuracy once there are a few
    dozen (Golub & Meurant 2010; Ghorbani et al. 2019). An operator with fewer distinct
    eigenvalues than there are nodes has its smallest repeated, with weight zero.

    Args:
        nodes: Ritz values, ascending, for each probe.
        weights: Squared first components of their vectors; each probe's sum to 1.
    """

    nodes: Float[Array, "probe node"]
    weights: Float[Array, "probe node"]


class Tridiagonal(NamedTuple):
    """The operator in the basis of one probe.

    Args:
        diagonal: Rayleigh quotients of the basis.
        beside: Norms of what was left; the last couples to nothing.
        alive: Whether the basis has such a vector; the space may be exhausted earlier.
    """

    diagonal: Float[Array, " node"]
    beside: Float[Array, " node"]
    alive: Bool[Array, " node"]


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

    Fully reorthogonalised, so it keeps `num_nodes` vectors. What counts as zero is
    relative to the operator and to the precision of `like`. A NaN that the operator
    gives reaches the nodes.

    Args:
        matvec: The operator.
        like: A vector of its space.
        num_nodes: Iterations; more than the dimension are of no use.
        num_probes: Random starts, mapped one after the other.
        mask: Projects a random vector into a subspace that the operator keeps.
        key: The starts are drawn from it.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> twice = lambda v: 2 * v
        >>> found = lanczos(
        ...     twice, jnp.zeros(5), num_nodes=3, num_probes=1, key=jr.key(0)
        ... )
        >>> [round(float(node), 4) for node in found.nodes[0]]
        [2.0, 2.0, 2.0]
    """

    def probe(key: Key[Array, ""]) -> tuple[Array, Array]:
        start = mask(normal_like(key, like))
        return _nodes(_tridiagonal(matvec, start, num_nodes))

    return Quadrature(*jax.lax.map(probe, jr.split(key, num_probes)))


def _tridiagonal(
    matvec: Callable[[PyTree], PyTree], start: PyTree, num_nodes: int
) -> Tridiagonal:
    """The operator in the basis that one start spans with it."""
    # The operator works in the leaves' types, the coarsest of which decides what is
    # rounding; the basis is orthogonal in float32 or wider.
    eps = max(float(jnp.finfo(x.dtype).eps) for x in jax.tree.leaves(start))
    wide = jax.tree.map(at_least_float32, start)
    first = _scale(1 / norm(wide), wide)
    basis = jax.tree.map(lambda x: jnp.zeros((num_nodes, *x.shape), x.dtype), first)
    dtype = inner(first, first).dtype

    def body(i, carry):
        basis, v, alive, size, found = carry
        basis = jax.tree.map(lambda b, x: b.at[i].set(x), basis, v)
        own_type = jax.tree.map(lambda x, own: x.astype(own.dtype), v, start)
        w = jax.tree.map(at_least_float32, matvec(own_type))
        found = Tridiagonal(
            found.diagonal.at[i].set(inner(w, v)),
            found.beside,
            found.alive.at[i].set(alive),
        )
        size = jnp.maximum(size, norm(w))
        once = _orthogonalize(basis, w)
        twice = _orthogonalize(basis, once)
        left = norm(twice)
        # Written so that NaN is no end: it has to reach the nodes.
        ended = (left <= ROUNDING * eps * size) | (
            left < KEPT_BY_SECOND_PASS * norm(once)
        )
        # From the end on all vectors are zero, and so is what becomes of them.
        v = _scale(jnp.where(ended, 0, 1 / jnp.where(ended, 1, left)), twice)
        left = jnp.where(ended, 0, left)
        found = found._replace(beside=found.beside.at[i].set(left))
        return basis, v, alive & ~ended, size, found

    zeros = jnp.zeros(num_nodes, dtype)
    found = Tridiagonal(zeros, zeros, jnp.zeros(num_nodes, bool))
    begin = (basis, first, jnp.array(True), jnp.zeros((), dtype), found)
    return jax.lax.fori_loop(0, num_nodes, body, begin)[-1]


def _nodes(found: Tridiagonal) -> tuple[Array, Array]:
    """Ritz values, ascending, and their weights in the probe's start."""
    off = found.beside[:-1]
    # Gershgorin's bound on the spectrum, in whose units all Ritz values are in [-1, 1].
    bound = jnp.abs(found.diagonal).max() + 2 * found.beside.max()
    bound = jnp.where(bound == 0, 1, bound)
    # Rows that the basis does not have are put below the spectrum, where they sort
    # first and are known by their number; at zero they could be taken for eigenvalues.
    diagonal = jnp.where(found.alive, found.diagonal / bound, -2)
    off = off / bound
    tridiagonal = jnp.diag(diagonal) + jnp.diag(off, 1) + jnp.diag(off, -1)
    nodes, vectors = jnp.linalg.eigh(tridiagonal)
    missing = (~found.alive).sum()
    real = jnp.arange(len(nodes)) >= missing
    nodes = jnp.where(real, nodes, nodes[missing]) * bound
    return nodes, jnp.where(real, vectors[0] ** 2, 0)


def _orthogonalize(basis: PyTree, w: PyTree) -> PyTree:
    """What is left of a vector when its part inside the basis is taken away."""
    along = _project(basis, w)
    return jax.tree.map(
        lambda x, b: (
            x - jnp.tensordot(along.astype(x.dtype), b, 1, precision="highest")
        ),
        w,
        basis,
    )


def _scale(c: Array, v: PyTree) -> PyTree:
    """A vector times a number."""
    return linear_combination((c, v))


def _project(basis: PyTree, w: PyTree) -> Float[Array, " node"]:
    """Inner products of `w` with every row of the basis."""
    parts = jax.tree.leaves(
        jax.tree.map(
            lambda b, x: jnp.matmul(
                b.reshape(b.shape[0], -1), x.reshape(-1), precision="highest"
            ),
            basis,
            w,
        )
    )
    widest = functools.reduce(jnp.promote_types, (part.dtype for part in parts))
    return functools.reduce(operator.add, (part.astype(widest) for part in parts))
