"""How alike the activations of two sets of latents are, on tokens that both read."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import ratio, unknown

MEASURES = ("pearson", "cosine", "jaccard", "weighted_jaccard")
Encode = Callable[[Float[Array, "token d"]], Float[Array, "token latent"]]

# Tokens at a time; what is held is their activations in both dictionaries.
CHUNK = 1024


class _Moments(NamedTuple):
    """Sums over tokens, from which all measures follow."""

    n: Array
    both: Array
    sum_a: Array
    sum_b: Array
    square_a: Array
    square_b: Array


@eqx.filter_jit
def overlap(
    f: Float[Array, "token a"],
    g: Float[Array, "token b"],
    measure: str = "pearson",
    *,
    weights: Float[Array, " token"] | None = None,
) -> Float[Array, "a b"]:
    """The similarity of every column of `f` with every column of `g`.

    With f, g the activations of two latents and sums over tokens,

        pearson           Σ (f - f̄)(g - ḡ) / √(Σ (f - f̄)² Σ (g - ḡ)²)   in [-1, 1]
        cosine            Σ f g / √(Σ f² Σ g²)                           in [-1, 1]
        jaccard           #(f ≠ 0 and g ≠ 0) / #(f ≠ 0 or g ≠ 0)         in [0, 1]
        weighted_jaccard  Σ min(f, g) / Σ max(f, g)                      in [0, 1]

    The Jaccard indices are of what is not negative, as latents are. All are unchanged
    if both columns are multiplied by one positive number, and all but the last if only
    one is. A column that never varies (of pearson) or never fires has similarity 0.

    Args:
        f: Activations of one set of latents.
        g: Activations of another one on the same tokens.
        measure: Which of the four.
        weights: How often each token counts; once by default. Counts of a resample give
            its similarities.

    Raises:
        ValueError: the measure is none of the four.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc import saes
        >>> f = jnp.array([[1.0], [1.0], [0.0], [0.0]])
        >>> g = jnp.array([[2.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> saes.overlap(f, g, "jaccard").tolist()
        [[0.5, 0.0]]
        >>> [round(v, 3) for v in saes.overlap(f, g, "weighted_jaccard")[0].tolist()]
        [0.333, 0.0]
        >>> [round(v, 3) for v in saes.overlap(f, g, "pearson")[0].tolist()]
        [0.577, -1.0]
    """
    if measure not in MEASURES:
        raise ValueError(f"overlap: {unknown('measure', measure, MEASURES)}")
    return _overlap(lambda x: x, lambda x: x, f, g, measure, weights)


@eqx.filter_jit
def overlap_of(
    encode_a: Encode,
    encode_b: Encode,
    x_a: Float[Array, "token d_a"],
    x_b: Float[Array, "token d_b"],
    measure: str,
    weights: Float[Array, " token"] | None = None,
) -> Float[Array, "a b"]:
    """`overlap` of two dictionaries, whose activations are never held all at once.

    Args:
        encode_a: From activations of the model to those of latents.
        encode_b: The same of the other dictionary.
        x_a: What the first dictionary reads.
        x_b: What the second one reads, on the same tokens.
        measure: As in `overlap`.
        weights: As in `overlap`.
    """
    return _overlap(encode_a, encode_b, x_a, x_b, measure, weights)


def _overlap(encode_a, encode_b, x_a, x_b, measure, weights):
    n = len(x_a)
    weights = jnp.ones((n,), jnp.float32) if weights is None else weights
    # Latents that are far from 0 everywhere would cost digits of their variance.
    first = slice(0, min(n, CHUNK))
    centred = measure == "pearson"
    middle = lambda f: f.mean(axis=0, keepdims=True) * float(centred)
    shifts = middle(encode_a(x_a[first])), middle(encode_b(x_b[first]))

    def moments(x, y, w):
        f = encode_a(x).astype(jnp.float32) - shifts[0].astype(jnp.float32)
        g = encode_b(y).astype(jnp.float32) - shifts[1].astype(jnp.float32)
        if measure == "jaccard":
            f, g = ((v != 0).astype(jnp.float32) for v in (f, g))
        v, u = f * w[:, None], g * w[:, None]
        both = _minima(f, g, w) if measure == "weighted_jaccard" else _dot(v, g)
        squares = (v * f).sum(axis=0), (u * g).sum(axis=0)
        return _Moments(w.sum(), both, v.sum(axis=0), u.sum(axis=0), *squares)

    # The last chunk is filled up with tokens that count as none.
    size = min(n, CHUNK)
    fill = -n % size
    split = lambda x: jnp.pad(x, [(0, fill)] + [(0, 0)] * (x.ndim - 1)).reshape(
        -1, size, *x.shape[1:]
    )
    chunks = split(x_a), split(x_b), split(weights)
    empty = jax.tree.map(
        lambda s: jnp.zeros(s.shape, s.dtype),
        jax.eval_shape(moments, *(c[0] for c in chunks)),
    )
    add = lambda total, chunk: (jax.tree.map(jnp.add, total, moments(*chunk)), None)
    return _similarity(jax.lax.scan(add, empty, chunks)[0], measure)


def _dot(f: Array, g: Array) -> Array:
    return jnp.matmul(f.T, g, precision="highest")


def _minima(f: Array, g: Array, w: Array) -> Array:
    """Σ w min(f, g) for all pairs, which no matrix product gives."""
    each = lambda column: (jnp.minimum(column[:, None], g) * w[:, None]).sum(axis=0)
    return jax.lax.map(each, f.T)


def _similarity(m: _Moments, measure: str) -> Array:
    """A measure of what was summed."""
    if measure in ("jaccard", "weighted_jaccard"):
        either = m.sum_a[:, None] + m.sum_b[None, :] - m.both
        return ratio(m.both, either, empty=0.0)
    if measure == "cosine":
        size = jnp.sqrt(m.square_a[:, None]) * jnp.sqrt(m.square_b[None, :])
        return jnp.clip(ratio(m.both, size, empty=0.0), -1, 1)
    covariance = m.both - m.sum_a[:, None] * m.sum_b[None, :] / m.n
    spread_a = jnp.maximum(m.square_a - jnp.square(m.sum_a) / m.n, 0)
    spread_b = jnp.maximum(m.square_b - jnp.square(m.sum_b) / m.n, 0)
    size = jnp.sqrt(spread_a)[:, None] * jnp.sqrt(spread_b)[None, :]
    return jnp.clip(ratio(covariance, size, empty=0.0), -1, 1)
