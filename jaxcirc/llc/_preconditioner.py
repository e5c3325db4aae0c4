"""Preconditioners that a user brings: a symmetric positive map by its square root."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, PyTree

from .._core import inner, keep, lanczos, named_leaves, norm, normal_like

# Random vectors and Lanczos steps that a map is tried with.
PROBES, NODES = 3, 16
# Differences between two inner products that single precision leaves.
TOLERANCE = 1e-3


class AbstractPreconditioner(eqx.Module):
    """A symmetric positive map G = R R, given by its square root R.

    Chains with it move as ordinary ones do in coordinates u with w = w* + R u, where
    the stiffness t H + γ becomes R (t H + γ) R. What they sample stays the same. A
    subclass has `root`, which must be linear, symmetric and positive; coordinates that
    a mask leaves out are cut off on either side of it.
    """

    @abc.abstractmethod
    def root(self, vector: PyTree) -> PyTree:
        """R times a vector in the shape of the weights."""

    def check(self, params: PyTree) -> None:
        """Refuse a map that is not symmetric and positive, or of another shape.

        It is tried on random vectors, and its smallest eigenvalue is sought in a few
        Lanczos steps: an error is certain, its absence is not.

        Args:
            params: The weights that are sampled.

        Raises:
            ValueError: the map does not fit.
        """
        try:
            # Whatever the user's function raises on a vector of this shape.
            out = jax.eval_shape(self.root, params)
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            raise _refused(f"fails on the weights: {error}") from error
        here = {k: (v.shape, v.dtype) for k, v in named_leaves(params).items()}
        there = {k: (v.shape, v.dtype) for k, v in named_leaves(out).items()}
        if here != there:
            raise _refused(f"turns weights {here} into {there}")
        asymmetry, smallest, largest = _tried(self, params)
        if not asymmetry < TOLERANCE:
            raise _refused(
                f"is not symmetric: <a, R b> and <R a, b> differ by {asymmetry:.2g} of "
                "|R a| |b|"
            )
        # A direction that is never moved in would be missing from the value.
        if not smallest > 1e-7 * largest:
            raise _refused(
                f"is not positive: it has an eigenvalue of {smallest:.3g}, beside "
                f"{largest:.3g}"
            )


class DiagonalPreconditioner(AbstractPreconditioner):
    """A step size of its own for every weight: G = diag(scale).

    With `scale` near 1 / (n_beta h_i + gamma), h_i being the curvature in a weight, all
    weights have one time scale. A constant factor is a factor on the step size.

    Args:
        scale: The diagonal of G: a pytree like the weights, with arrays that broadcast
            to theirs; in squared units of the weights for a step size without units.

    Raises:
        ValueError: an entry is not positive and finite.

    Example:
        >>> import jax.numpy as jnp
        >>> G = DiagonalPreconditioner({"w": jnp.array([4.0, 9.0])})
        >>> G.root({"w": jnp.ones(2)})["w"].tolist()
        [2.0, 3.0]
    """

    scale: PyTree

    def __check_init__(self):
        for name, leaf in named_leaves(self.scale).items():
            # Under a trace there are no numbers, and they have been checked before.
            if isinstance(leaf, Tracer) or not eqx.is_array_like(leaf):
                continue
            values = np.asarray(leaf)
            if not (np.isfinite(values) & (values > 0)).all():
                raise ValueError(
                    f"DiagonalPreconditioner: every entry of `scale` must be positive "
                    f"and finite; {name or 'it'!r} has {float(values.min()):.3g}. Give "
                    "weights that are not to be sampled a False in `mask` instead."
                )

    def root(self, vector: PyTree) -> PyTree:
        """The vector times the square roots of the scales."""
        return jax.tree.map(
            lambda s, v: jnp.sqrt(jnp.asarray(s)).astype(v.dtype) * v,
            self.scale,
            vector,
        )

    def check(self, params: PyTree) -> None:
        """Refuse scales that do not broadcast to the weights.

        Args:
            params: The weights that are sampled.

        Raises:
            ValueError: the structures differ, or a shape does not broadcast.
        """
        try:
            jax.tree.map(
                lambda s, v: np.broadcast_to(np.empty(np.shape(s)), v.shape),
                self.scale,
                params,
            )
        except ValueError as error:
            raise _refused(f"does not fit the weights: {error}") from error


class RootPreconditioner(AbstractPreconditioner):
    """Any symmetric positive map, given as the function that is its square root.

    Args:
        function: R, from a pytree like the weights to another one: linear, symmetric
            and positive. G = R R is what the chain is preconditioned with. Arrays that
            it holds are constants of the compiled program unless it is a `Module`.
    """

    function: Callable[[PyTree], PyTree]

    def root(self, vector: PyTree) -> PyTree:
        """What the function makes of the vector."""
        return self.function(vector)


class LowRankPreconditioner(AbstractPreconditioner):
    """G = scale (I + Σ_i (c_i² - 1) u_i u_iᵀ), other than a multiple of 1 in few ways.

    Its root is the same with c_i. With u_i the stiffest directions of the loss and c_i²
    the inverse of how much stiffer they are than the rest, the rest alone decides the
    step size (`curvature_preconditioner` makes such a one).

    Args:
        directions: u_i, orthonormal: a pytree like the weights, with a leading axis.
        factors: c_i, the scale of the weights along u_i, relative to the others.
        scale: The square of the scale of the others.

    Raises:
        ValueError: `scale` or a factor is not positive.
    """

    directions: PyTree
    factors: Array
    scale: float | Array = 1.0

    def __check_init__(self):
        for value in (self.factors, self.scale):
            if isinstance(value, Tracer) or not eqx.is_array_like(value):
                continue
            if not (np.asarray(value) > 0).all():
                raise ValueError(
                    "LowRankPreconditioner: `scale` and every factor must be positive; "
                    f"got {np.asarray(value).tolist()}."
                )

    def root(self, vector: PyTree) -> PyTree:
        """√scale (v + Σ_i (c_i - 1) u_i <u_i, v>)."""
        along = sum(
            jnp.tensordot(
                u.reshape(len(self.factors), -1), v.reshape(-1), 1, precision="highest"
            )
            for u, v in zip(
                jax.tree.leaves(self.directions), jax.tree.leaves(vector), strict=True
            )
        )
        more = (self.factors - 1) * along

        def leaf(u: Array, v: Array) -> Array:
            moved = v + jnp.tensordot(more.astype(v.dtype), u, 1, precision="highest")
            return jnp.sqrt(jnp.asarray(self.scale)).astype(v.dtype) * moved

        return jax.tree.map(leaf, self.directions, vector)


def root_of(
    preconditioner: AbstractPreconditioner | None, mask: PyTree | None
) -> Callable[[PyTree], PyTree]:
    """R as a map of the sampled coordinates; what is given back where there is none.

    Args:
        preconditioner: A preconditioner, or None.
        mask: Which coordinates are sampled; None for all.
    """
    if preconditioner is None:
        return lambda vector: vector
    # Cut on both sides, a symmetric map stays one.
    return lambda vector: keep(preconditioner.root(keep(vector, mask)), mask)


@eqx.filter_jit
def _tried(
    preconditioner: AbstractPreconditioner, params: PyTree
) -> tuple[Array, Array, Array]:
    """Relative asymmetry, and the smallest and largest eigenvalue that are found."""
    gaps = []
    for i in range(PROBES):
        a_key, b_key = jr.split(jr.fold_in(jr.key(0), i))
        a, b = normal_like(a_key, params), normal_like(b_key, params)
        Ra, Rb = preconditioner.root(a), preconditioner.root(b)
        gap = jnp.abs(inner(a, Rb) - inner(Ra, b))
        gaps.append(gap / (norm(Ra) * norm(b) + jnp.finfo(gap.dtype).tiny))
    size = sum(x.size for x in jax.tree.leaves(params))
    found = lanczos(
        preconditioner.root,
        params,
        num_nodes=min(NODES, size),
        num_probes=1,
        key=jr.key(1),
    )
    return jnp.stack(gaps).max(), found.nodes.min(), jnp.abs(found.nodes).max()


def _refused(why: str) -> ValueError:
    return ValueError(
        f"llc: the `preconditioner` {why}. It maps a pytree like the weights to "
        "another, linearly, symmetrically and positively."
    )
