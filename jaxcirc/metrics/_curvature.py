"""Curvature of a loss: trace, extreme eigenvalues and density of its Hessian."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key, PyTree

from .._core import Objective, Quadrature, inner, lanczos, mean_of


def hessian_vector_product(
    objective: Objective, params: PyTree, examples: PyTree, vector: PyTree
) -> PyTree:
    """∇²L(params) · vector, without forming the Hessian (Pearlmutter 1994).

    L is the mean of the objective over the examples. The product is the derivative of
    its gradient along the vector, and takes about as long as three gradients.

    Args:
        objective: (params, examples) -> the value of each example.
        params: Arrays alone, where the curvature is taken.
        examples: A pytree with a leading example axis.
        vector: A pytree like `params`.

    Returns:
        A pytree like `params`.

    Example:
        >>> import jax.numpy as jnp
        >>> square = lambda w, x: x * w**2 / 2  # its second derivative is x
        >>> one, xs = jnp.array(1.0), jnp.array([2.0, 4.0])
        >>> float(hessian_vector_product(square, jnp.array(5.0), xs, one))
        3.0
    """

    def loss(params: PyTree) -> Array:
        return mean_of(objective, params, examples)

    return jax.jvp(jax.grad(loss), (params,), (vector,))[1]


def hessian_trace(
    objective: Objective,
    params: PyTree,
    examples: PyTree,
    *,
    num_probes: int = 32,
    key: Key[Array, ""],
) -> Float[Array, ""]:
    """Trace of the Hessian: the sum of all curvatures, in units of the loss.

    Hutchinson's (1990) estimator with random signs, which is exact for a diagonal
    Hessian; otherwise its standard deviation is √(2 Σ_{i≠j} H_ij² / num_probes).

    Args:
        objective: (params, examples) -> the value of each example, whose mean is L.
        params: Arrays alone, where the curvature is taken.
        examples: A pytree with a leading example axis.
        num_probes: Random vectors, one Hessian-vector product each.
        key: Random key of the vectors.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> square = lambda w, x: x * (w**2).sum() / 2  # the Hessian is x times 1
        >>> w, x = jnp.ones(3), jnp.array([2.0, 4.0])
        >>> float(hessian_trace(square, w, x, num_probes=1, key=jr.key(0)))
        9.0
    """

    def probe(key: Key[Array, ""]) -> Array:
        leaves, treedef = jax.tree.flatten(params)
        keys = jr.split(key, len(leaves))
        # Signs rather than normal draws: their squares are 1, so that the diagonal adds
        # no variance.
        signs = [
            jr.rademacher(k, x.shape, x.dtype)
            for k, x in zip(keys, leaves, strict=True)
        ]
        v = jax.tree.unflatten(treedef, signs)
        return inner(v, hessian_vector_product(objective, params, examples, v))

    # One probe after the other: together each would hold a copy of the parameters.
    return jax.lax.map(probe, jr.split(key, num_probes)).mean()


def hessian_quadrature(
    objective: Objective,
    params: PyTree,
    examples: PyTree,
    *,
    num_nodes: int = 30,
    num_probes: int = 1,
    key: Key[Array, ""],
) -> Quadrature:
    """Nodes and weights that stand for the Hessian's spectrum (Ghorbani et al. 2019).

    Σ weights · f(nodes), averaged over probes, is tr f(H) / d. The extreme nodes are
    the extreme eigenvalues to high accuracy after a few dozen iterations.

    Args:
        objective: (params, examples) -> the value of each example, whose mean is L.
        params: Arrays alone.
        examples: A pytree with a leading example axis.
        num_nodes: Lanczos iterations; as many vectors are kept.
        num_probes: Random starts.
        key: Random key of the starts.

    Returns:
        Nodes, ascending and in units of the loss, and weights that add up to 1, both
        [probe, node].

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> scales = jnp.array([1.0, 2.0, 5.0])
        >>> square = lambda w, x: x * (scales * w**2).sum() / 2
        >>> found = hessian_quadrature(
        ...     square, jnp.ones(3), jnp.ones(1), num_nodes=3, key=jr.key(0)
        ... )
        >>> [round(float(node), 3) for node in found.nodes[0]]
        [1.0, 2.0, 5.0]
    """
    return lanczos(
        lambda v: hessian_vector_product(objective, params, examples, v),
        params,
        num_nodes=num_nodes,
        num_probes=num_probes,
        key=key,
    )


def hessian_top_eigenvalues(
    objective: Objective,
    params: PyTree,
    examples: PyTree,
    *,
    num_eigenvalues: int = 1,
    num_nodes: int = 30,
    key: Key[Array, ""],
) -> Float[Array, " eigenvalue"]:
    """The largest eigenvalues of the Hessian, descending, by Lanczos.

    Gradient descent with a step above 2 / λ_max leaves the minimum. The first is
    accurate soonest; take `num_nodes` several times `num_eigenvalues`.

    Args:
        objective: (params, examples) -> the value of each example, whose mean is L.
        params: Arrays alone.
        examples: A pytree with a leading example axis.
        num_eigenvalues: Number of eigenvalues.
        num_nodes: Lanczos iterations.
        key: Random key of the start.

    Raises:
        ValueError: more eigenvalues than iterations.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> scales = jnp.array([1.0, 2.0, 5.0])
        >>> square = lambda w, x: x * (scales * w**2).sum() / 2
        >>> found = hessian_top_eigenvalues(
        ...     square, jnp.ones(3), jnp.ones(1), num_nodes=3, key=jr.key(0)
        ... )
        >>> round(float(found[0]), 3)
        5.0
    """
    if num_eigenvalues > num_nodes:
        raise ValueError(
            f"hessian_top_eigenvalues: {num_eigenvalues} eigenvalues need at least as "
            f"many iterations; got `num_nodes` = {num_nodes}."
        )
    found = hessian_quadrature(
        objective, params, examples, num_nodes=num_nodes, key=key
    )
    # Nodes ascend, and the largest are wanted first.
    return found.nodes[0, ::-1][:num_eigenvalues]


def spectral_density(
    quadrature: Quadrature, at: Float[Array, " point"], *, width: float
) -> Float[Array, " point"]:
    """Density of eigenvalues at some points, smoothed by a Gaussian of that width.

    It integrates to 1 over all of the axis (Ghorbani et al. 2019, eq. 5). Eigenvalues
    nearer to each other than `width` are not told apart; with a `width` far below the
    distance of the nodes, each node stands as a peak of its own.

    Args:
        quadrature: What `hessian_quadrature` gives.
        at: Places on the axis of eigenvalues.
        width: Standard deviation of the Gaussian, in units of the eigenvalues.

    Returns:
        The density at each place, per unit of the eigenvalues.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> square = lambda w, x: x * (w**2).sum()  # the Hessian is 2
        >>> one = hessian_quadrature(
        ...     square, jnp.ones(1), jnp.ones(1), num_nodes=1, key=jr.key(0)
        ... )
        >>> density = spectral_density(one, jnp.array([2.0]), width=1.0)
        >>> round(float(density[0]), 4)  # 1 / √(2π)
        0.3989
    """
    nodes, weights = quadrature
    z = (at[:, None, None] - nodes[None]) / width
    bell = jnp.exp(-jnp.square(z) / 2) / (width * (2 * jnp.pi) ** 0.5)
    return (bell * weights[None]).sum(axis=-1).mean(axis=-1)
