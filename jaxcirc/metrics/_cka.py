"""Centred kernel alignment: debiased, biased, and over minibatches."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import ratio, root
from ._representations import (
    HIGHEST,
    ROTATED,
    centre,
    check_examples,
    check_pair,
    gaussian,
    paired,
)
from ._spec import Known, MetricSpec, Similarity


class _Kernel(NamedTuple):
    """A centred linear kernel, as its factor or, with fewer examples, as its matrix.

    `lengths` is its diagonal and `square` its squared Frobenius norm.
    """

    factor: Float[Array, "example feature"] | None
    matrix: Float[Array, "example example"] | None
    lengths: Float[Array, " example"]
    square: Float[Array, ""]


@jax.jit
def cka(
    x: Float[Array, "example feature_x"], y: Float[Array, "example_y feature_y"]
) -> Similarity:
    """How alike two representations are, with the bias of few examples removed.

    Linear CKA (Kornblith et al. 2019) with the unbiased estimator of HSIC in each slot
    (Song et al. 2012, eq. 5): ⟨K, L⟩ / (|K| |L|) of U-centred kernels. At most 1, which
    it is for x Q c + b with orthogonal Q; 0 on average for unrelated representations
    whatever their width, and may be slightly negative. Not unchanged by a general
    invertible map of features.

    Where examples outnumber features the kernels stay factored (`|xᵀy|²`), otherwise
    they are formed; both give the same to rounding.

    Args:
        x: One representation of the examples.
        y: Another one of the same examples.

    Returns:
        The similarity and its chance level, 0. NaN if either is constant.

    Raises:
        ValueError: fewer than four examples, or other numbers of them.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0], [0.0, 0.0]])
        >>> turned = jnp.stack([-x[:, 1], x[:, 0]], axis=1)
        >>> round(float(cka(x, 3 * turned + 7).value), 4)
        1.0
    """
    return _cka(x, y)


@jax.jit
def cka_biased(
    x: Float[Array, "example feature_x"], y: Float[Array, "example_y feature_y"]
) -> Similarity:
    """Linear CKA with the biased estimator: |xᵀy|² / (|xᵀx| |yᵀy|), centred.

    In [0, 1] (Kornblith et al. 2019, eq. 3). With few examples it is high for anything:
    unrelated normal representations have √(p q / ((p + n) (q + n))). Its chance level
    is the mean over all orders of the examples, tr K tr L / ((n - 1) |K| |L|). It is
    for comparing with published curves; for everything else take `cka`.

    Args:
        x: One representation of the examples.
        y: Another one of the same examples.

    Returns:
        The similarity and its chance level. NaN if either is constant.

    Raises:
        ValueError: fewer than four examples, or other numbers of them.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[1.0], [-1.0], [1.0], [-1.0]])
        >>> y = jnp.array([[1.0], [1.0], [-1.0], [-1.0]])
        >>> found = cka_biased(x, x + y)  # single features: their squared correlation
        >>> round(float(found.value), 4), round(float(found.chance), 4)
        (0.5, 0.3333)
    """
    return _biased(x, y)


@jax.jit
def cka_minibatch(
    x: Float[Array, "batch example feature_x"],
    y: Float[Array, "batch example feature_y"],
) -> Similarity:
    """Debiased CKA of more examples than fit at once (Nguyen et al. 2021, eq. 2).

    Unbiased HSIC is averaged over batches before the ratio is taken; averaging biased
    ratios instead stays wrong however many batches there are. One batch gives `cka`.

    Args:
        x: One representation, in batches of at least four examples.
        y: Another one of the same examples, in the same batches.

    Returns:
        The similarity and its chance level, 0. NaN if either is constant.

    Raises:
        ValueError: fewer than four examples a batch, or other numbers of them.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.arange(16.0).reshape(2, 4, 2) ** 2  # two batches of four
        >>> round(float(cka_minibatch(x, 3 * x + 7).value), 4)
        1.0
    """
    check_examples("cka_minibatch", x[0])
    check_pair("cka_minibatch", x[0], y[0])
    # One scale for all batches, or they would not weigh alike.
    scale_x, scale_y = jnp.abs(x).max(), jnp.abs(y).max()

    def batch(pair: tuple[Array, Array]) -> tuple[Array, Array, Array]:
        k, l = _plain_kernel(pair[0] / scale_x), _plain_kernel(pair[1] / scale_y)
        return _unbiased(k, l), _unbiased(k, k), _unbiased(l, l)

    both, own_x, own_y = (t.mean() for t in jax.lax.map(batch, (x, y)))
    return Similarity(_ratio(both, own_x, own_y), jnp.zeros_like(both))


def _kernel(x: Array, *, name: str) -> _Kernel:
    check_examples(name, x)
    return _of_centred(centre(x))


def _plain_kernel(x: Array) -> _Kernel:
    return _of_centred(x - x.mean(axis=0, keepdims=True))


def _of_centred(x: Array) -> _Kernel:
    n, p = x.shape
    lengths = jnp.square(x).sum(axis=1)
    # Whichever of x and x xᵀ is smaller; every inner product below takes either.
    if n > p:
        return _Kernel(x, None, lengths, _squared_gram(x))
    gram = jnp.matmul(x, x.T, precision=HIGHEST)
    return _Kernel(None, gram, lengths, jnp.square(gram).sum())


def _squared_gram(x: Array, block: int = 128) -> Array:
    """|xᵀx|², from the blocks on and above the diagonal: half of the products."""
    p = x.shape[1]
    total = jnp.zeros((), x.dtype)
    for start in range(0, p, block):
        rows = x[:, start : start + block].T
        on_and_above = jnp.matmul(rows, x[:, start:], precision=HIGHEST)
        width = rows.shape[0]
        squares = jnp.square(on_and_above)
        total = total + squares[:, :width].sum() + 2 * squares[:, width:].sum()
    return total


def _inner(k: _Kernel, l: _Kernel) -> Array:
    """The inner product ⟨K, L⟩ = |xᵀy|² of two kernels, in whatever form each is."""
    # The same object, not equal numbers: its square has been computed before.
    if k is l:
        return k.square
    if k.matrix is not None and l.matrix is not None:
        return (k.matrix * l.matrix).sum()
    if k.factor is not None and l.factor is not None:
        return jnp.square(jnp.matmul(k.factor.T, l.factor, precision=HIGHEST)).sum()
    matrix = k.matrix if k.matrix is not None else l.matrix
    factor = k.factor if k.factor is not None else l.factor
    assert matrix is not None
    assert factor is not None
    return (factor * jnp.matmul(matrix, factor, precision=HIGHEST)).sum()


def _unbiased(k: _Kernel, l: _Kernel) -> Array:
    """N (n - 3) times the unbiased HSIC; centred kernels need no matrix for it."""
    n = k.lengths.shape[0]
    diagonals = (k.lengths * l.lengths).sum()
    product = k.lengths.sum() * l.lengths.sum()
    return _inner(k, l) - n / (n - 2) * diagonals + product / ((n - 1) * (n - 2))


def _ratio(both: Array, own_x: Array, own_y: Array) -> Array:
    # One root each: the product of two fourth powers leaves float32's range.
    return ratio(both, root(own_x) * root(own_y), empty=jnp.nan)


def _compare(k: _Kernel, l: _Kernel) -> Similarity:
    value = _ratio(_unbiased(k, l), _unbiased(k, k), _unbiased(l, l))
    return Similarity(value, jnp.zeros_like(value))


def _compare_biased(k: _Kernel, l: _Kernel) -> Similarity:
    n = k.lengths.shape[0]
    # The trace of a kernel is the sum of its diagonal, whatever form it is in.
    chance = k.lengths.sum() * l.lengths.sum() / (n - 1)
    return Similarity(
        _ratio(_inner(k, l), k.square, l.square), _ratio(chance, k.square, l.square)
    )


_prepare = functools.partial(_kernel, name="cka")
_prepare_biased = functools.partial(_kernel, name="cka_biased")
_cka = paired("cka", _prepare, _compare)
_biased = paired("cka_biased", _prepare_biased, _compare_biased)


def _noisy_copy() -> tuple[Array, Array]:
    x, noise = gaussian(3000, 40, 40)
    return x, x + noise


def _one_massive_token() -> tuple[Array, Array]:
    x, y = gaussian(512, 16, 16)
    return x.at[0].multiply(1000), y.at[0].multiply(1000)


_SHARED = {
    "kind": "similarity",
    "units": "",
    "invariant_to": frozenset(
        {"scale", "feature_rotation", "translation", "example_order", "exchange"}
    ),
    "data": ("activations", "gradients"),
}
SPEC = MetricSpec(
    name="cka",
    summary="alignment of centred kernels, debiased: 0 for unrelated representations",
    fn=cka,
    bounds=(-1.0, 1.0),
    paper="Kornblith et al. 2019; Song et al. 2012",
    known=(
        ROTATED,
        Known(lambda: gaussian(64, 768, 768), 0.0, 0.06),
        Known(_noisy_copy, 0.5, 0.03),
        Known(_one_massive_token, 0.0, 0.15),
    ),
    prepare=_prepare,
    compare=_compare,
    **_SHARED,
    at_zero=float("nan"),
)
BIASED = MetricSpec(
    name="cka_biased",
    summary="the same with its bias: high for anything when examples are few",
    fn=cka_biased,
    bounds=(0.0, 1.0),
    paper="Kornblith et al. 2019",
    known=(
        ROTATED,
        Known(lambda: gaussian(64, 768, 768), 768 / (768 + 64), 0.02),
        Known(_one_massive_token, 1.0, 0.01),
    ),
    prepare=_prepare_biased,
    compare=_compare_biased,
    **_SHARED,
    at_zero=float("nan"),
)
