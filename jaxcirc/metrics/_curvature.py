"""Curvature of a loss: trace, extreme eigenvalues and density of its Hessian."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key, PyTree

from .._core import Quadrature, inner, lanczos

Loss = Callable[[PyTree], Array]


def hessian_vector_product(loss: Loss, params: PyTree, vector: PyTree) -> PyTree:
    """∇²L(params) · vector, without forming the Hessian (Pearlmutter 1994)."""
    return jax.jvp(jax.grad(loss), (params,), (vector,))[1]


def hessian_trace(
    loss: Loss, params: PyTree, *, num_probes: int = 32, key: Key[Array, ""]
) -> Float[Array, ""]:
    """Trace of the Hessian: the sum of all curvatures, in units of the loss.

    Hutchinson's (1990) estimator with random signs, which is exact for a diagonal
    Hessian; otherwise its standard deviation is √(2 Σ_{i≠j} H_ij² / num_probes).

    Args:
        loss: params -> scalar.
        params: Arrays alone, where the curvature is taken.
        num_probes: Random vectors, one Hessian-vector product each.
        key: Of the vectors.
    """

    def probe(key: Key[Array, ""]) -> Array:
        leaves, treedef = jax.tree.flatten(params)
        keys = jr.split(key, len(leaves))
        signs = [
            jr.rademacher(k, x.shape, x.dtype)
            for k, x in zip(keys, leaves, strict=True)
        ]
        v = jax.tree.unflatten(treedef, signs)
        return inner(v, hessian_vector_product(loss, params, v))

    return jax.lax.map(probe, jr.split(key, num_probes)).mean()


def hessian_quadrature(
    loss: Loss,
    params: PyTree,
    *,
    num_nodes: int = 30,
    num_probes: int = 1,
    key: Key[Array, ""],
) -> Quadrature:
    """Nodes and weights that stand for the Hessian's spectrum (Ghorbani et al. 2019).

    Σ weights · f(nodes), averaged over probes, is tr f(H) / d. The extreme nodes are
    the extreme eigenvalues to high accuracy after a few dozen iterations.

    Args:
        loss: params -> scalar.
        params: Arrays alone.
        num_nodes: Lanczos iterations; as many vectors are kept.
        num_probes: Random starts.
        key: Of the starts.
    """
    return lanczos(
        lambda v: hessian_vector_product(loss, params, v),
        params,
        num_nodes=num_nodes,
        num_probes=num_probes,
        key=key,
    )


def hessian_top_eigenvalues(
    loss: Loss,
    params: PyTree,
    *,
    num_eigenvalues: int = 1,
    num_nodes: int = 30,
    key: Key[Array, ""],
) -> Float[Array, " eigenvalue"]:
    """The largest eigenvalues of the Hessian, descending, by Lanczos.

    Gradient descent with a step above 2 / λ_max leaves the minimum. The first is
    accurate soonest; take `num_nodes` several times `num_eigenvalues`.

    Args:
        loss: params -> scalar.
        params: Arrays alone.
        num_eigenvalues: How many.
        num_nodes: Lanczos iterations.
        key: Of the start.

    Raises:
        ValueError: more eigenvalues than iterations.
    """
    if num_eigenvalues > num_nodes:
        raise ValueError(
            f"hessian_top_eigenvalues: {num_eigenvalues} eigenvalues need at least as "
            f"many iterations; got `num_nodes` = {num_nodes}."
        )
    found = hessian_quadrature(loss, params, num_nodes=num_nodes, key=key)
    return found.nodes[0, ::-1][:num_eigenvalues]


def spectral_density(
    quadrature: Quadrature, at: Float[Array, " point"], *, width: float
) -> Float[Array, " point"]:
    """Density of eigenvalues at some points, smoothed by a Gaussian of that width.

    Integrates to 1 over all of the axis (Ghorbani et al. 2019, eq. 5).

    Args:
        quadrature: What `hessian_quadrature` gives.
        at: Where.
        width: Standard deviation of the Gaussian, in units of the eigenvalues.
    """
    nodes, weights = quadrature
    z = (at[:, None, None] - nodes[None]) / width
    bell = jnp.exp(-jnp.square(z) / 2) / (width * (2 * jnp.pi) ** 0.5)
    return (bell * weights[None]).sum(axis=-1).mean(axis=-1)
