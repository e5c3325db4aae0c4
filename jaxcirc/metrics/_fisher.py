"""The Fisher information and the empirical Fisher, which are not the same."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key, PyTree

from .._core import Objective, at_least_float32, squared_norm, value_of_one


def fisher_trace(
    logits: Callable[[PyTree, PyTree], Float[Array, "example outcome"]],
    params: PyTree,
    inputs: PyTree,
    *,
    num_samples: int | None = None,
    key: Key[Array, ""] | None = None,
) -> Float[Array, ""]:
    """Trace of the Fisher information: E_x E_{y~model} |∇ log p(y|x)|².

    The outcomes are the model's own, so no labels enter; for a softmax it is the trace
    of the generalised Gauss-Newton matrix (Martens 2014). In [0, inf), nats.

    Args:
        logits: (params, inputs) -> for each input, logits of the outcomes.
        params: Arrays alone.
        inputs: A pytree with a leading example axis.
        num_samples: Outcomes drawn per example, unbiased; None sums over all of them,
            which is exact and takes a gradient per outcome.
        key: Random key of the draws; needed with `num_samples`.

    Raises:
        ValueError: `num_samples` without a key.

    Example:
        >>> import jax.numpy as jnp
        >>> softmax = lambda w, x: w[None] + 0 * x  # its own Fisher is diag(p) - p pᵀ
        >>> float(fisher_trace(softmax, jnp.zeros(2), jnp.zeros((1, 1))))
        0.5
    """
    if num_samples is not None and key is None:
        raise ValueError("fisher_trace: give a `key` for drawing outcomes.")
    n = len(jax.tree.leaves(inputs)[0])
    # Without draws the keys are not used, but both cases go through one loop.
    keys = jr.split(jr.key(0) if key is None else key, n)

    def example(args) -> Array:
        one, key = args

        def log_p(p: PyTree) -> Array:
            return jax.nn.log_softmax(at_least_float32(value_of_one(logits, p, one)))

        values, pull = jax.vjp(log_p, params)

        # One pull for each outcome, through a forward pass that all of them share.
        def square(outcome: Array) -> Array:
            cotangent = jax.nn.one_hot(outcome, len(values), dtype=values.dtype)
            return squared_norm(pull(cotangent)[0])

        if num_samples is None:
            squares = jax.lax.map(square, jnp.arange(len(values)))
            return (jnp.exp(values) * squares).sum()
        drawn = jr.categorical(key, values, shape=(num_samples,))
        return jax.lax.map(square, drawn).mean()

    return jax.lax.map(example, (inputs, keys)).mean()


def empirical_fisher_trace(
    objective: Objective, params: PyTree, examples: PyTree
) -> Float[Array, ""]:
    """Mean squared norm of the examples' gradients at their own labels.

    Not the Fisher information: it vanishes where the labels are fitted, and otherwise
    need not resemble it (Kunstner et al. 2019). In [0, inf).

    Args:
        objective: (params, examples) -> -log p of each example's label.
        params: Arrays alone.
        examples: A pytree with a leading example axis.

    Example:
        >>> import jax.numpy as jnp
        >>> project = lambda w, x: x @ w  # the gradient of an example is itself
        >>> float(empirical_fisher_trace(project, jnp.zeros(2), 3 * jnp.eye(2)))
        9.0
    """

    def example(one: PyTree) -> Array:
        return squared_norm(jax.grad(lambda p: value_of_one(objective, p, one))(params))

    return jax.lax.map(example, examples).mean()
