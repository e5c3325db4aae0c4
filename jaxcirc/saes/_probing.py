"""Whether a concept can be read off a few latents."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

STEPS = 20  # Newton's method converges in fewer, for a ridge that is not tiny


class Probe(NamedTuple):
    """A probe on few latents.

    Args:
        accuracy: The share of test tokens that it gets right.
        chance: The share that the commoner answer gets right there.
        latents: Which latents it reads, the most telling first.
        weights: Its weight of each, per standard deviation.
    """

    accuracy: Float[Array, ""]
    chance: Float[Array, ""]
    latents: Int[Array, " k"]
    weights: Float[Array, " k"]


def sparse_probe(
    f: Float[Array, "token latent"],
    labels: Bool[Array | np.ndarray, " token"],
    k: int,
    *,
    train: float = 0.5,
    ridge: float = 1e-3,
) -> Probe:
    """How well a logistic regression on the k best latents tells a concept.

    Latents are chosen by the difference of their means with and without the concept, in
    standard deviations, on the first part of the tokens; the probe is fitted there and
    tested on the rest. A dictionary that has a latent for the concept does with k = 1
    what a dense probe does with all dimensions (Gurnee et al. 2023).
    To compare with the activations themselves, probe those.

    Args:
        f: Activations of the latents (or anything else), in random order of tokens.
        labels: Whether the concept is there, on each token.
        k: How many latents it may read: 1, 2 and 5 are usual.
        train: The share of the tokens that it is fitted on; the rest tests it.
        ridge: Weight of the squared weights beside the mean loss, which keeps them
            finite where classes can be separated.

    Returns:
        Accuracy beside chance, and the latents that were read.

    Raises:
        ValueError: `k` is not between 1 and the number of latents, or one of the parts
            has only one kind of label.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc import saes
        >>> labels = jnp.array([True, False, False, True] * 10)
        >>> noise = jnp.arange(40.0) % 3
        >>> f = jnp.stack([noise, labels.astype(float), noise[::-1]], axis=1)
        >>> found = saes.sparse_probe(f, labels, 1)
        >>> float(found.accuracy), float(found.chance), found.latents.tolist()
        (1.0, 0.5, [1])
    """
    n, n_latents = f.shape
    if not 1 <= k <= n_latents:
        raise ValueError(
            f"sparse_probe: `k` must be between 1 and {n_latents}; got {k}."
        )
    cut = int(n * train)
    known = np.asarray(labels)
    kinds = [len(set(part.tolist())) for part in (known[:cut], known[cut:])]
    if min(kinds) < 2:
        raise ValueError(
            f"sparse_probe: {cut} tokens to fit and {n - cut} to test must each have "
            "some with the concept and some without. Shuffle them, or give more."
        )
    return _probe(
        f.astype(jnp.float32), jnp.asarray(labels), k, cut, jnp.float32(ridge)
    )


@functools.partial(jax.jit, static_argnums=(2, 3))
def _probe(f: Array, labels: Array, k: int, cut: int, ridge: Array) -> Probe:
    y = labels.astype(jnp.float32)
    mean = f[:cut].mean(axis=0, keepdims=True)
    spread = f[:cut].std(axis=0, keepdims=True)
    # What never varies tells nothing, and would be divided by nothing.
    scaled = jnp.where(spread > 0, (f - mean) / jnp.where(spread > 0, spread, 1), 0)
    known = y[:cut]
    share = known.mean()
    apart = (known @ scaled[:cut]) / share - ((1 - known) @ scaled[:cut]) / (1 - share)
    _, latents = jax.lax.top_k(jnp.abs(apart), k)
    ones = jnp.ones((len(f), 1), jnp.float32)
    x = jnp.concatenate([scaled[:, latents], ones], axis=1)
    weights = _logistic(x[:cut], known, ridge)
    right = ((x[cut:] @ weights > 0) == labels[cut:]).astype(jnp.float32)
    often = y[cut:].mean()
    return Probe(right.mean(), jnp.maximum(often, 1 - often), latents, weights[:-1])


def _logistic(x: Array, y: Array, ridge: Array) -> Array:
    """Weights of a logistic regression, the bias last, by Newton's method."""
    d = x.shape[1]
    penalty = jnp.full((d,), ridge, jnp.float32).at[-1].set(1e-6)

    def step(weights, _):
        p = jax.nn.sigmoid(x @ weights)
        gradient = (p - y) @ x / len(y) + penalty * weights
        curvature = (x * (p * (1 - p))[:, None]).T @ x / len(y) + jnp.diag(penalty)
        moved = jnp.linalg.solve(curvature, gradient)
        # Far from the minimum a full step overshoots, where curvature has vanished.
        size = jnp.linalg.norm(moved)
        return weights - moved * jnp.minimum(1, 2 / jnp.maximum(size, 1e-12)), None

    return jax.lax.scan(step, jnp.zeros((d,), jnp.float32), length=STEPS)[0]
