"""How well activations are put together again, from sums over the whole data set."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._core import ratio
from ._running import Running


class Reconstruction(NamedTuple):
    """How near reconstructions are to what they stand for.

    All are means, or ratios of sums, over all tokens, so they do not depend on how
    tokens were divided into batches. The two variants of the explained variance that
    are named after a batch or a legacy do.

    Args:
        mse: Squared error, summed over dimensions and averaged over tokens,
            Σ‖x - x̂‖² / n; in squared units of the activations.
        fvu: Fraction of variance unexplained, Σ‖x - x̂‖² / Σ‖x - x̄‖², with x̄ the mean
            over all tokens. 0 for a perfect reconstruction, 1 for the mean of the
            activations, above 1 for anything worse.
        explained_variance_legacy: Mean over tokens of 1 - ‖x - x̂‖² / ‖x - x̄‖², with x̄
            the mean of the batch. A few tokens near the mean decide it. Published
            figures of SAELens and SAEBench are often this one.
        explained_variance_per_batch: Mean over batches of 1 - Σ_d Var(x - x̂) /
            Σ_d Var(x). A constant offset of the reconstruction does not show in it, and
            it depends on the batch size. It is what dictionary_learning reports.
        cosine: Mean over tokens with x ≠ 0 of the cosine between x and x̂, in [-1, 1];
            0 for a token whose reconstruction is 0.
        l2_ratio: Mean over tokens with x ≠ 0 of ‖x̂‖ / ‖x‖; below 1 where sparsity
            shrinks.
        relative_bias: E‖x̂‖² / E[x · x̂], which is 1 if no rescaling of x̂ would lower
            the error, and below 1 where reconstructions are too small (Rajamanoharan et
            al. 2024, arXiv:2404.16014, eq. 10).
        n_tokens: How many tokens it rests on.
    """

    mse: Float[Array, "*member"]
    fvu: Float[Array, "*member"]
    explained_variance_legacy: Float[Array, "*member"]
    explained_variance_per_batch: Float[Array, "*member"]
    cosine: Float[Array, "*member"]
    l2_ratio: Float[Array, "*member"]
    relative_bias: Float[Array, "*member"]
    n_tokens: Int[Array, "*member"]

    @property
    def explained_variance(self) -> Float[Array, "*member"]:
        """The share of variance explained, 1 - FVU; 0 for the mean, 1 at best."""
        return 1 - self.fvu


class Sums(NamedTuple):
    """What a `Reconstruction` is made of, of the tokens seen so far.

    Args:
        n: Tokens.
        batches: Batches with at least one token.
        mean: Their mean activation.
        spread: Squared distances from the mean, Σ‖x - x̄‖².
        terms: Sums of all else, by name.
    """

    n: Int[Array, ""]
    batches: Int[Array, ""]
    mean: Float[Array, " d"]
    spread: Running
    terms: dict[str, Running]


TERMS = (
    *("error", "legacy", "per_batch", "cosine", "l2_ratio", "power", "overlap"),
    "directed",  # tokens that have a direction, which cosines and ratios are means over
)


def no_tokens(d: int) -> Sums:
    """The sums before anything was seen, of activations of `d` dimensions."""
    terms = {name: Running.zero() for name in TERMS}
    zero = jnp.zeros((), jnp.int32)
    mean = jnp.zeros((d,), jnp.float32)
    return Sums(zero, zero, mean, Running.zero(), terms)


def with_batch(
    sums: Sums,
    x: Float[Array, "token d"],
    x_hat: Float[Array, "token d"],
    where: Bool[Array, " token"],
) -> Sums:
    """The sums with one more batch.

    Spreads are taken around the batch's own mean and put together (Chan, Golub and
    LeVeque 1983): a mean that is large beside the spread costs no digits, as it would
    in E[x²] - E[x]².

    Args:
        sums: Of what was seen before.
        x: The activations.
        x_hat: Their reconstructions.
        where: The tokens that count.
    """
    x, x_hat = x.astype(jnp.float32), x_hat.astype(jnp.float32)
    count = where.sum(dtype=jnp.int32)
    some = jnp.maximum(count, 1).astype(jnp.float32)
    mean = _over(where, x) / some
    spread_of_each = jnp.square(x - mean[None]).sum(axis=1)
    spread = _over(where, spread_of_each)
    # Shares of the two, of which one is 0 if nothing was seen before.
    n = sums.n + count
    real = lambda number: number.astype(jnp.float32)
    share = real(count) / real(jnp.maximum(n, 1))
    apart = mean - sums.mean
    between = jnp.square(apart).sum() * real(sums.n) * share
    terms = _terms(x, x_hat, where, spread_of_each, spread, some)
    return Sums(
        n,
        sums.batches + (count > 0).astype(jnp.int32),
        sums.mean + share * apart,
        sums.spread.plus(spread).plus(between),
        {name: sums.terms[name].plus(terms[name]) for name in TERMS},
    )


def _over(where: Array, values: Array) -> Array:
    """The sum over the tokens that count; others may hold anything, NaN included."""
    shape = (-1, *(1,) * (values.ndim - 1))
    return jnp.where(where.reshape(shape), values, 0).sum(axis=0)


def _terms(x, x_hat, where, spread_of_each, spread, some) -> dict[str, Array]:
    """What one batch adds to each of `TERMS`."""
    left = x - x_hat
    error = jnp.square(left).sum(axis=1)
    size, size_hat = (jnp.linalg.norm(v, axis=1) for v in (x, x_hat))
    overlap = (x * x_hat).sum(axis=1)
    off = _over(where, left) / some
    varying = _over(where, jnp.square(left - off[None]).sum(axis=1))
    per_batch = 1 - ratio(varying, spread, empty=jnp.nan)
    return {
        "error": _over(where, error),
        "legacy": _over(where, 1 - ratio(error, spread_of_each, empty=jnp.nan)),
        "per_batch": jnp.where(where.any(), per_batch, 0),
        "cosine": _over(where, ratio(overlap, size * size_hat, empty=0.0)),
        "l2_ratio": _over(where, ratio(size_hat, size, empty=0.0)),
        "power": _over(where, jnp.square(size_hat)),
        "overlap": _over(where, overlap),
        "directed": _over(where, (size > 0).astype(jnp.float32)),
    }


def result_of(sums: Sums) -> Reconstruction:
    """The measures of all that was seen; NaN where nothing was.

    Args:
        sums: Over all batches.
    """
    n = sums.n.astype(jnp.float32)
    total = {name: running.total for name, running in sums.terms.items()}
    nan = jnp.nan
    return Reconstruction(
        mse=ratio(total["error"], n, empty=nan),
        fvu=ratio(total["error"], sums.spread.total, empty=nan),
        explained_variance_legacy=ratio(total["legacy"], n, empty=nan),
        explained_variance_per_batch=ratio(
            total["per_batch"], sums.batches.astype(jnp.float32), empty=nan
        ),
        cosine=ratio(total["cosine"], total["directed"], empty=nan),
        l2_ratio=ratio(total["l2_ratio"], total["directed"], empty=nan),
        relative_bias=ratio(total["power"], total["overlap"], empty=nan),
        n_tokens=sums.n,
    )


def reconstruction(
    x: Float[Array, "token d"],
    x_hat: Float[Array, "token_hat d_hat"],
    *,
    batch_size: int | None = None,
) -> Reconstruction:
    """How near reconstructions are to activations, by every definition in use.

    Take `fvu`, or `explained_variance` = 1 - `fvu`: they come from sums over all tokens
    and say 0 explained for a dictionary that always gives the mean. The two others of
    that name are there for comparisons with published figures.

    Args:
        x: The activations.
        x_hat: Their reconstructions; of a transcoder, `x` is its target.
        batch_size: Tokens of a batch. Only `explained_variance_legacy` and
            `explained_variance_per_batch` depend on it. All tokens by default.

    Returns:
        The measures.

    Raises:
        ValueError: the two differ in shape, or `batch_size` does not divide the number
            of tokens.

    Example:
        The mean explains nothing. An offset that is the same for all tokens does not
        show in the variant that removes it.

        >>> import jax.numpy as jnp
        >>> from jaxcirc import saes
        >>> x = jnp.array([[1.0, 0.0], [3.0, 0.0], [5.0, 4.0], [7.0, 4.0]])
        >>> mean = jnp.broadcast_to(x.mean(axis=0), x.shape)
        >>> float(saes.reconstruction(x, mean).explained_variance)
        0.0
        >>> shifted = saes.reconstruction(x, x + 1.0)
        >>> round(float(shifted.fvu), 4), float(shifted.explained_variance_per_batch)
        (0.2222, 1.0)
    """
    if x.shape != x_hat.shape:
        raise ValueError(
            "reconstruction: activations and reconstructions must have one shape; got "
            f"{x.shape} and {x_hat.shape}."
        )
    n = len(x)
    size = n if batch_size is None else batch_size
    if size < 1 or n % size:
        raise ValueError(
            f"reconstruction: `batch_size` must divide the {n} tokens; got {size}."
        )
    return _reconstruction(x, x_hat, size)


def _reconstruction(x: Array, x_hat: Array, size: int) -> Reconstruction:
    d = x.shape[1]
    where = jnp.ones((size,), bool)

    def step(sums, pair):
        x, x_hat = pair
        return with_batch(sums, x, x_hat, where), None

    batches = (x.reshape(-1, size, d), x_hat.reshape(-1, size, d))
    return result_of(jax.lax.scan(step, no_tokens(d), batches)[0])


_reconstruction = jax.jit(_reconstruction, static_argnums=2)
