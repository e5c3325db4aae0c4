"""Curvature and gradient noise where a chain is, and the bias they predict."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from .._core import Quadrature, fold_name, keep, lanczos, squared_norm
from ._chain import neighbourhood
from ._problem import Problem
from ._sampler import AbstractSampler

# Largest ε (n_beta h_max + gamma); SGLD is stable below 4 on a quadratic, but the walls
# of a singular minimum are steeper than their quadratics.
MAX_STIFFNESS = 0.5
# Batches that Hessian and gradient noise are measured on.
NUM_BATCHES = 8


class Curvature(NamedTuple):
    """The loss around a place, in the metric of a sampler.

    Args:
        nodes: Nodes of a quadrature of the Hessian's spectrum, after the sampler's
            preconditioner has been multiplied in.
        weights: Weights of the nodes; they sum to 1.
        noise: Sum over coordinates of the variance of a minibatch gradient.
        metric: Mean and largest eigenvalue of the preconditioner.
        dimension: Sampled coordinates.
        plain: Nodes and weights of the Hessian's own spectrum, which says what the loss
            is like whatever samples it; the same as above without a preconditioner.
    """

    nodes: Float[np.ndarray, " node"]
    weights: Float[np.ndarray, " node"]
    noise: float
    metric: tuple[float, float]
    dimension: int
    plain: tuple[Float[np.ndarray, " node"], Float[np.ndarray, " node"]]

    @property
    def largest(self) -> float:
        """The largest curvature."""
        return float(self.nodes.max())

    @property
    def trace(self) -> float:
        """Sum of the curvatures."""
        return float(self.dimension * (self.weights * self.nodes).sum())

    def steeper(self, factor: float) -> "Curvature":
        """The same spectrum and noise with every curvature that many times as large."""
        h, weights = self.plain
        return self._replace(
            nodes=self.nodes * factor,
            noise=self.noise * factor,
            plain=(h * factor, weights),
        )

    def value(self, n_beta: float, gamma: float) -> float:
        """λ(t, γ) = ½ Σ t h_i / (t h_i + γ) of a quadratic with this spectrum.

        Args:
            n_beta: t, inverse temperature times number of examples.
            gamma: γ, strength of the localisation.
        """
        h = np.maximum(self.plain[0], 0)
        own = n_beta * h / np.maximum(n_beta * h + gamma, 1e-30)
        return float(0.5 * self.dimension * (self.plain[1] * own).sum())

    def predicted(
        self, step_size: float, n_beta: float, gamma: float
    ) -> tuple[float, float]:
        """λ̂ of a quadratic with this spectrum, exactly and as SGLD would find it.

        Minibatch noise is taken to be shared out like the curvature, as it is near a
        minimum of a log-likelihood. The second is infinite beyond the stability bound.

        Args:
            step_size: ε of SGLD.
            n_beta: Inverse temperature times number of examples.
            gamma: Strength of the localisation.
        """
        # Where the loss falls, the localisation alone holds the chain.
        h = np.maximum(self.nodes, 0)
        pull, most = gamma * self.metric[0], gamma * self.metric[1]
        own = n_beta * h / np.maximum(n_beta * h + pull, 1e-30)
        share = self.dimension * self.weights / 2
        left = 1 - step_size * (n_beta * h + most) / 4
        if left.min() <= 0:
            return float((share * own).sum()), math.inf
        noise = self.noise * h / max(self.trace, 1e-30)
        heat = 1 + step_size * n_beta**2 * noise / 4
        return float((share * own).sum()), float((share * own * heat / left).sum())

    def bias(self, step_size: float, n_beta: float, gamma: float) -> float:
        """Relative error of λ̂ that step size and minibatch noise cause.

        Args:
            step_size: ε of SGLD.
            n_beta: Inverse temperature times number of examples.
            gamma: Strength of the localisation.
        """
        exact, found = self.predicted(step_size, n_beta, gamma)
        return found / exact - 1 if exact > 0 else 0.0

    def step_size(self, bias: float, n_beta: float, gamma: float) -> float:
        """The largest step size whose predicted bias is at most `bias`.

        Args:
            bias: Relative error of λ̂ that is allowed.
            n_beta: Inverse temperature times number of examples.
            gamma: Strength of the localisation.
        """
        stiff = n_beta * max(self.largest, 0) + gamma * self.metric[1]
        high = MAX_STIFFNESS / max(stiff, 1e-30)
        low = high * 1e-12
        # Bisection in the logarithm, since step sizes span many decades.
        for _ in range(60):
            middle = math.sqrt(low * high)
            if self.bias(middle, n_beta, gamma) <= bias:
                low = middle
            else:
                high = middle
        return low


@eqx.filter_jit
def run_pilot(
    problem: Problem,
    sampler: AbstractSampler,
    numbers: dict[str, Array],
    model: PyTree,
    mask: PyTree | None,
    state: Any,
    num_steps: Int[Array, ""],
    key: Key[Array, ""],
) -> Any:
    """The state of a chain after some more steps of burn-in.

    Args:
        problem: Loss and data.
        sampler: Any sampler with these `numbers` in place of its own.
        numbers: The sampler's numbers, as arrays.
        model: The model, whose floating arrays are w*.
        mask: Which coordinates to sample; None for all.
        state: Where the chain is; None to begin at w*.
        num_steps: How many steps to make.
        key: Key that every step folds its own from.
    """
    sampler = sampler.with_numbers(**numbers)
    center = eqx.filter(model, eqx.is_inexact_array)

    def body(i, state):
        batch_key, own_key = jr.split(jr.fold_in(key, i))
        local = neighbourhood(problem, model, mask, None, batch_key)
        return sampler.step(state, local, adapt=jnp.array(True), key=own_key)[0]

    if state is None:
        first = neighbourhood(problem, model, mask, None, key)
        state = sampler.init(center, first, key=key)
    return jax.lax.fori_loop(0, num_steps, body, state)


@eqx.filter_jit
def measure(
    problem: Problem,
    sampler: AbstractSampler,
    numbers: dict[str, Array],
    model: PyTree,
    mask: PyTree | None,
    state: Any,
    num_nodes: int,
    key: Key[Array, ""],
) -> tuple[Quadrature, Quadrature, Array, Array, Array]:
    """Spectrum, gradient noise and metric at the place of a state.

    Args:
        problem: Loss and data.
        sampler: Any sampler with these `numbers` in place of its own.
        numbers: The sampler's numbers, as arrays.
        model: The model, whose floating arrays are w*.
        mask: Which coordinates are sampled; None for all.
        state: Where a chain is.
        num_nodes: Nodes of the quadrature of the spectrum.
        key: Key of batches and probes.

    Returns:
        The spectrum in the sampler's metric, the Hessian's own, summed variance of a
        minibatch gradient, and mean and largest eigenvalue of the preconditioner.
    """
    sampler = sampler.with_numbers(**numbers)
    w, whole = sampler.position(state), sampler.root(state)
    batch_key, probe_key = jr.split(key)
    # With all the data every batch is the same one.
    keys = jr.split(batch_key, 1 if _is_full(problem) else NUM_BATCHES)
    gradient = _gradient(problem, model)

    # R H R is symmetric, and has the spectrum of G H that the step size must suit.
    def root(v: PyTree) -> PyTree:
        return keep(whole(keep(v, mask)), mask)

    def hessian(v: PyTree) -> PyTree:
        products = jax.lax.map(
            lambda k: jax.jvp(lambda p: gradient(p, k), (w,), (v,))[1], keys
        )
        return jax.tree.map(lambda x: x.mean(axis=0), products)

    def spectrum(of: Callable[[PyTree], PyTree], key: Key[Array, ""]) -> Quadrature:
        options = {"num_nodes": num_nodes, "num_probes": 2, "key": key}
        return lanczos(of, w, mask=lambda v: keep(v, mask), **options)

    found = plain = spectrum(lambda v: root(hessian(root(v))), probe_key)
    mean = most = jnp.ones(())
    if sampler.is_preconditioned:
        plain = spectrum(lambda v: keep(hessian(v), mask), fold_name(key, "plain"))
        if sampler.metric(state) is None:
            squares = spectrum(lambda v: root(root(v)), fold_name(key, "metric"))
            mean, most = _mean_and_largest(squares)
        else:
            mean, most = _entries(root(jax.tree.map(jnp.ones_like, w)))
    noise = jnp.zeros(())
    if not _is_full(problem):
        each = jax.lax.map(lambda k: gradient(w, k), keys)
        about = jax.tree.map(lambda g: g - g.mean(axis=0, keepdims=True), each)
        noise = squared_norm(jax.lax.map(root, about)) / (NUM_BATCHES - 1)
    return found, plain, noise, mean, most


def _gradient(
    problem: Problem, model: PyTree
) -> Callable[[PyTree, Key[Array, ""]], PyTree]:
    """Gradient of the mean loss of the batch that a key draws."""
    rest = eqx.filter(model, eqx.is_inexact_array, inverse=True)

    def gradient(w: PyTree, key: Key[Array, ""]) -> PyTree:
        examples = problem.draw(key)[0]
        return jax.grad(
            lambda p: problem.losses(eqx.combine(p, rest), examples).mean()
        )(w)

    return gradient


def _mean_and_largest(found: Quadrature) -> tuple[Array, Array]:
    return (found.nodes * found.weights).sum(axis=1).mean(), found.nodes.max()


def _entries(root: PyTree) -> tuple[Array, Array]:
    """Mean and largest of the squares; those of masked coordinates do not count."""
    entries = jnp.concatenate([r.reshape(-1) ** 2 for r in jax.tree.leaves(root)])
    active = jnp.maximum((entries > 0).sum(), 1).astype(entries.dtype)
    return entries.sum() / active, entries.max()


def curvature(
    problem: Problem,
    sampler: AbstractSampler,
    numbers: dict[str, Array],
    model: PyTree,
    mask: PyTree | None,
    state: Any,
    dimension: int,
    *,
    key: Key[Array, ""],
) -> Curvature:
    """Spectrum and noise around a state, on the host and in float64.

    Args:
        problem: Loss and data.
        sampler: Any sampler with these `numbers` in place of its own.
        numbers: The sampler's numbers, as arrays.
        model: The model, whose floating arrays are w*.
        mask: Which coordinates are sampled; None for all.
        state: Where a chain is.
        dimension: Sampled coordinates.
        key: Key of batches and probes.
    """
    # Lanczos finds no more directions than there are.
    num_nodes = min(24, dimension)
    found, plain, *rest = measure(
        problem, sampler, numbers, model, mask, state, num_nodes, key
    )
    noise, mean, most = (float(x) for x in rest)
    return Curvature(
        *_mixed(found), noise, (mean, most), dimension, plain=_mixed(plain)
    )


def _mixed(found: Quadrature) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of all probes together, whose weights sum to 1."""
    nodes, weights = (np.asarray(x, np.float64) for x in found)
    return nodes.reshape(-1), weights.reshape(-1) / len(nodes)


def _is_full(problem: Problem) -> bool:
    return problem.batch_size is None and problem.population is None
