"""Features of a run, followed through dictionaries, with what seeds and tokens do."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, Key

from .._core import fold_name
from ._assignment import cosines
from ._dictionary import Dictionary
from ._life import Similarity, lives
from ._lives import Lives
from ._match import Tokens, rows
from ._overlap import overlap_of
from ._rules import Rules


class Followed(NamedTuple):
    """Lives of features beside what they are to be believed.

    Args:
        lives: The lives.
        null_births: Births at each place of a run in which nothing changes:
            dictionaries of one checkpoint from other seeds, in several orders.
        null_deaths: Deaths in the same.
        support: For each life, the share of the resamples of tokens in which it is born
            within one checkpoint of its birth, or is there from the beginning if it
            was; NaN if tokens were not drawn again. It says what other tokens would
            have shown of these dictionaries, and nothing of other dictionaries.
    """

    lives: Lives
    null_births: Int[np.ndarray, "order place"]
    null_deaths: Int[np.ndarray, "order place"]
    support: Float[np.ndarray, " life"]

    def limit(self, level: float = 0.95) -> float:
        """Births at a checkpoint that seeds alone exceed with probability 1 - level.

        Taken over the places of the null at which a birth can be told: not the first
        ones, before which nothing can have been away for long enough, and not the last
        ones, after which nothing can persist. NaN without a null.

        Args:
            level: Of the quantile.
        """
        first, places = self.lives.persist, self.null_births.shape[1]
        told = self.null_births[:, first : max(places - first + 1, first)]
        return float(np.quantile(told, level)) if told.size else float("nan")


def follow(
    dictionaries: Sequence[Dictionary],
    steps: Sequence[int],
    x: Tokens | Sequence[Tokens],
    *,
    by: str = "decoder",
    measure: str = "pearson",
    rules: Rules | None = None,
    seeds: Sequence[Dictionary] = (),
    seeds_x: Tokens | Sequence[Tokens] | None = None,
    orders: int = 8,
    resamples: int = 0,
    block: int = 1,
    key: Key[Array, ""],
) -> Followed:
    """Births, deaths and drift of features over the checkpoints of a run.

    Dictionaries of two checkpoints are never the same, even if the model is: some
    features are found by one seed and not by another. So births and deaths are to be
    read beside those among `seeds`, dictionaries that were trained on *one* checkpoint,
    which are followed as if they were a run. Whether a latent fires often enough is
    uncertain too, so tokens can be drawn again.

    Args:
        dictionaries: One for each checkpoint, trained in the same way.
        steps: The step of each checkpoint, ascending.
        x: What they read: one array for all, or one for each, on the same tokens.
        by: What is compared: `decoder`, `encoder` or `activations`.
        measure: For `activations`; see `overlap`.
        rules: Thresholds; `Rules()` by default.
        seeds: Dictionaries of one checkpoint, trained from other seeds; at least
            `2 * persist`, so that a birth can be told among them.
        seeds_x: What these read; that of the last checkpoint by default.
        orders: In how many random orders the seeds are followed.
        resamples: How often tokens are drawn again; 0 for not at all.
        block: Tokens that are drawn together, such as the length of a sequence.
        key: Random key of orders and draws.

    Returns:
        The lives, births and deaths among seeds, and the support of each life.

    Raises:
        ValueError: there is not one step and one array of tokens for each dictionary,
            tokens differ in number, `block` does not divide it, or seeds are too few.

    Example:
        >>> import equinox as eqx, jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import saes
        >>> one = saes.TopK(d_in=8, d_sae=12, k=4).init(jr.key(0))
        >>> less = eqx.tree_at(lambda d: d.W_enc, one, one.W_enc.at[:, 3].set(0))
        >>> x = jr.normal(jr.key(1), (200, 8))
        >>> found = saes.follow([less, less, one, one], range(4), x, key=jr.key(2))
        >>> found.lives.births.tolist(), found.lives.deaths.tolist()
        ([0, 0, 1, 0], [0, 0, 0, 0])
    """
    rules = rules or Rules()
    arrays = _for_each(x, len(dictionaries), len(steps), block)
    if seeds and len(seeds) < 2 * rules.persist:
        raise ValueError(
            f"follow: among {len(seeds)} seeds no birth that lasts for "
            f"{rules.persist} checkpoints can be told; give at least "
            f"{2 * rules.persist}."
        )
    similar = _similarity(dictionaries, arrays, by, measure)
    each = zip(dictionaries, arrays, strict=True)
    counts = [np.asarray(_firing(d.encode, one, block)) for d, one in each]
    n_tokens = len(arrays[0])
    found = lives(similar, [c.sum(axis=0) / n_tokens for c in counts], steps, rules)
    null = _among_seeds(
        seeds,
        arrays[-1] if seeds_x is None else seeds_x,
        by,
        measure,
        rules,
        orders,
        key,
    )
    if not resamples:
        return Followed(found, *null, np.full(len(found.latents), np.nan))

    def again(draw: Key[Array, ""]) -> np.ndarray:
        n = len(counts[0])
        # Whole blocks: tokens of one sequence are too alike to be drawn one by one.
        drawn = np.bincount(np.asarray(jr.randint(draw, (n,), 0, n)), minlength=n)
        weights = jnp.asarray(np.repeat(drawn, block), jnp.float32)
        # Directions are what they are, whatever tokens are drawn.
        near = similar
        if by == "activations":
            near = _similarity(dictionaries, arrays, by, measure, weights)
        densities = [drawn @ c / n_tokens for c in counts]
        return _same(found, lives(near, densities, steps, rules))

    draws = jr.split(fold_name(key, "tokens"), resamples)
    return Followed(found, *null, np.mean([again(d) for d in draws], axis=0))


def _similarity(dictionaries, arrays, by, measure, weights=None) -> Similarity:
    """Tables of similarities, each made once."""

    @functools.cache
    def table(earlier: int, later: int) -> np.ndarray:
        a, b = dictionaries[earlier], dictionaries[later]
        if by != "activations":
            return np.asarray(cosines(rows(a, by), rows(b, by)))
        both = arrays[earlier], arrays[later]
        return np.asarray(overlap_of(a.encode, b.encode, *both, measure, weights))

    return table


def _among_seeds(seeds, x, by, measure, rules, orders, key):
    """Births and deaths in a run whose checkpoints are all the same."""
    n = len(seeds)
    if not n:
        empty = np.zeros((0, 0), int)
        return empty, empty
    arrays = _for_each(x, n, n, 1)
    similar = _similarity(seeds, arrays, by, measure)
    densities = [
        np.asarray(_firing(d.encode, one, 1)).sum(axis=0) / len(one)
        for d, one in zip(seeds, arrays, strict=True)
    ]
    births, deaths = [], []
    for draw in jr.split(fold_name(key, "orders"), orders):
        # Seeds have no order, so every order is as good a run of no change.
        order = np.asarray(jr.permutation(draw, n))
        shuffled = lambda a, b, order=order: similar(int(order[a]), int(order[b]))
        found = lives(shuffled, [densities[i] for i in order], range(n), rules)
        births.append(found.births)
        deaths.append(found.deaths)
    return np.stack(births), np.stack(deaths)


def _same(found: Lives, again: Lives) -> Float[np.ndarray, " life"]:
    """Whether each life has one like it, born within a checkpoint of the same time."""
    alike = np.zeros(len(found.latents))
    for life, latents in enumerate(found.latents):
        born = found.born[life]
        # One of its first two sightings is enough: either may be missed by chance.
        seen = np.flatnonzero(latents >= 0)[:2]
        holds = (again.latents[:, seen] == latents[seen]).any(axis=1)
        near = np.abs(again.born - born) <= 1
        begun = (again.born >= again.persist) == (born >= found.persist)
        alike[life] = (holds & near & begun).any()
    return alike


@eqx.filter_jit
def _firing(encode, x: Array, block: int) -> Int[Array, "block latent"]:
    """How often each latent fires in each block of tokens."""
    blocks = x.reshape(-1, block, x.shape[1])
    count = lambda one: (encode(one) != 0).sum(axis=0, dtype=jnp.int32)
    return jax.lax.map(count, blocks, batch_size=max(1, 1024 // block))


def _for_each(x, n: int, n_steps: int, block: int) -> list[Array]:
    """The tokens of each dictionary.

    Raises:
        ValueError: as `follow` says.
    """
    arrays = list(x) if isinstance(x, list | tuple) else [x] * n
    if not n or not n == n_steps == len(arrays):
        raise ValueError(
            "follow: needs a step and an array of tokens for each dictionary; got "
            f"{n} dictionaries, {n_steps} steps and {len(arrays)} arrays."
        )
    lengths = {len(one) for one in arrays}
    if len(lengths) > 1 or len(arrays[0]) % block:
        raise ValueError(
            "follow: all dictionaries must read the same tokens, in blocks of "
            f"{block}; got {sorted(lengths)} tokens."
        )
    return arrays
