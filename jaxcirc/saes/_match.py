"""Features of one dictionary in another, beside what chance and other seeds give."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from .._core import fold_name, normal, unknown
from ._assignment import assignment, cosines
from ._dictionary import Dictionary
from ._overlap import MEASURES, overlap_of

SIDES = ("decoder", "encoder", "activations")
Tokens = Float[Array, "..."]
THRESHOLDS = (0.3, 0.5, 0.7, 0.9)


@dataclasses.dataclass(frozen=True)
class Match:
    """Which latent of one dictionary is which of another, and how like it is.

    Attributes:
        pairs: For each latent of the first dictionary that of the second, or -1.
        similarity: Of each with its partner; NaN without one.
        best: Of each with the nearest latent of the second dictionary, whoever else is
            near to it; NaN for those that are left out.
        considered: Latents of the first dictionary that take part: those that are
            alive.
        nulls: Name -> the same of something in which no feature can be found again, or
            only those that any seed finds: what the numbers are to be read beside.
    """

    pairs: Int[np.ndarray, " a"]
    similarity: Float[np.ndarray, " a"]
    best: Float[np.ndarray, " a"]
    considered: Bool[np.ndarray, " a"]
    nulls: Mapping[str, "Match"] = dataclasses.field(default_factory=dict)

    def share(self, threshold: float) -> float:
        """The share of the latents whose partner is at least as near as a threshold.

        Those without a partner count as not found; NaN if no latent takes part.

        Args:
            threshold: A similarity.
        """
        if not self.considered.any():
            return float("nan")
        return float((self.similarity[self.considered] >= threshold).mean())

    @property
    def mmcs(self) -> float:
        """Mean over latents of the similarity to the nearest one, partners or not.

        By directions this is the mean max cosine similarity; it is high as well where
        many latents of the first have one and the same neighbour in the second.
        """
        some = self.considered.any()
        return float(self.best[self.considered].mean()) if some else float("nan")

    @property
    def mean(self) -> float:
        """Mean similarity of the pairs; NaN without any.

        The pairwise MCC has the absolute cosine here and pairs that maximise it:
        `mcc(a.W_dec, b.W_dec).mcc`. They differ where directions are opposite.
        """
        paired = self.pairs >= 0
        return float(self.similarity[paired].mean()) if paired.any() else float("nan")

    def table(
        self, thresholds: Sequence[float] = THRESHOLDS
    ) -> dict[str, dict[str, float]]:
        """Means and shares found, of this match and of each null, by name.

        Args:
            thresholds: Similarities at which latents count as found.

        Returns:
            `found` and the names of the nulls -> `mean`, `mmcs`, and the share found at
            each threshold, such as `0.7`.
        """
        rows = {"found": self, **self.nulls}
        return {
            name: {"mean": one.mean, "mmcs": one.mmcs}
            | {f"{t:g}": one.share(t) for t in thresholds}
            for name, one in rows.items()
        }


def match(
    a: Dictionary,
    b: Dictionary,
    *,
    by: str = "decoder",
    x: Tokens | tuple[Tokens, Tokens] | None = None,
    measure: str = "pearson",
    alive: tuple[Bool[Array | np.ndarray, " a"], Bool[Array | np.ndarray, " b"]]
    | None = None,
    other: Dictionary | None = None,
    other_x: Tokens | None = None,
    key: Key[Array, ""],
) -> Match:
    """Find the latents of one dictionary in another one.

    Similarities are cosines of decoder rows (or encoder columns, with the sites of a
    crosscoder side by side), with their sign, since a latent that writes the opposite
    is another one; or those of the latents' activations on shared tokens (`overlap`).
    Pairs are those of `assignment`. Two dictionaries trained from other seeds share a
    third to a half of their latents in published cases, so what has changed between
    two checkpoints is what exceeds that: give `other`, trained at the checkpoint of
    `a` from another seed. The nulls are

        random     (by directions) as many random directions as `b` has latents
        permuted   (by activations) the same activations, tokens of `b` in other order
        seed       `a` matched with `other`

    Args:
        a: The dictionary whose latents are looked for.
        b: The one in which they are looked for.
        by: What is compared: `decoder`, `encoder` or `activations`.
        x: What the dictionaries read, for `activations`: one array for both, or one
            for each, of the same tokens at two checkpoints.
        measure: For `activations`: `pearson`, `cosine`, `jaccard` or
            `weighted_jaccard`.
        alive: Latents of both that take part. By default all, or for `activations`
            those that fire on `x`.
        other: A dictionary like `a` from another seed, for the null `seed`.
        other_x: What `other` reads; what `a` reads by default.
        key: Random key of the nulls.

    Returns:
        The pairs, their similarities, and the nulls.

    Raises:
        ValueError: `by` or `measure` is unknown; activations are asked for without
            tokens, or the two have other numbers of them; or directions live in
            different dimensions.

    Example:
        A dictionary whose latents were shuffled is found again.

        >>> import equinox as eqx, jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import saes
        >>> a = saes.TopK(d_in=16, d_sae=40, k=4).init(jr.key(0))
        >>> order = jr.permutation(jr.key(1), 40)
        >>> b = eqx.tree_at(lambda d: d.W_dec, a, a.W_dec[order])
        >>> found = saes.match(a, b, key=jr.key(2))
        >>> bool((found.pairs == jnp.argsort(order)).all()), found.share(0.9)
        (True, 1.0)
        >>> found.nulls["random"].share(0.9)
        0.0
    """
    _check(by, measure, x)
    if by == "activations":
        x_a, x_b = x if isinstance(x, tuple) else (x, x)
        return _by_activations(a, b, x_a, x_b, measure, alive, other, other_x, key)
    rows_a, rows_b = rows(a, by), rows(b, by)
    if rows_a.shape[1] != rows_b.shape[1]:
        raise ValueError(
            f"match: the {by}s have {rows_a.shape[1]} and {rows_b.shape[1]} "
            "dimensions. Match what is of two sites by `activations` on shared tokens."
        )
    alive_a, alive_b = alive or (np.ones(len(r), bool) for r in (rows_a, rows_b))
    # As many random directions as could have been found.
    n_random = int(np.asarray(alive_b).sum())
    random = normal(fold_name(key, "random"), (n_random, rows_b.shape[1]), jnp.float32)
    nulls = {"random": matched(cosines(rows_a, random), alive_a)}
    if other is not None:
        nulls["seed"] = matched(cosines(rows_a, rows(other, by)), alive_a)
    return matched(cosines(rows_a, rows_b), alive_a, alive_b, nulls)


def _by_activations(a, b, x_a, x_b, measure, alive, other, other_x, key) -> Match:
    """The match by what latents do on shared tokens."""
    other_x = x_a if other_x is None else other_x
    lengths = {len(x_a), len(x_b), len(other_x)}
    if len(lengths) > 1:
        raise ValueError(
            "match: activations are compared token by token; got "
            f"{sorted(lengths)} tokens. Run both models on the same ones."
        )
    similarity = lambda d, x: overlap_of(a.encode, d.encode, x_a, x, measure)
    alive_a, alive_b = alive or (fires(a, x_a), fires(b, x_b))
    order = jr.permutation(fold_name(key, "permuted"), len(x_b))
    nulls = {"permuted": matched(similarity(b, x_b[order]), alive_a, alive_b)}
    if other is not None:
        there = fires(other, other_x)
        nulls["seed"] = matched(similarity(other, other_x), alive_a, there)
    return matched(similarity(b, x_b), alive_a, alive_b, nulls)


def matched(
    similarity: Float[Array | np.ndarray, "a b"],
    alive_a: Bool[Array | np.ndarray, " a"] | None = None,
    alive_b: Bool[Array | np.ndarray, " b"] | None = None,
    nulls: Mapping[str, Match] | None = None,
) -> Match:
    """The match that a table of similarities gives, of those that are alive.

    Args:
        similarity: Of all latents of one dictionary with all of another.
        alive_a: Latents of the first that take part; all by default.
        alive_b: Latents of the second; all by default.
        nulls: What to read it beside.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.saes import matched
        >>> found = matched(jnp.array([[0.9, 0.4], [0.8, 0.1]]))
        >>> found.pairs.tolist(), round(found.mmcs, 2), found.share(0.5)
        ([1, 0], 0.85, 0.5)
    """
    table = np.asarray(similarity)
    every = lambda alive, n: np.ones(n, bool) if alive is None else np.asarray(alive)
    rows_, columns = (
        np.flatnonzero(every(alive, n))
        for alive, n in zip((alive_a, alive_b), table.shape, strict=True)
    )
    inside = table[np.ix_(rows_, columns)]
    found = assignment(inside)
    paired = found >= 0
    pairs = np.full(len(table), -1)
    pairs[rows_[paired]] = columns[found[paired]]
    value, best = (np.full(len(table), np.nan) for _ in range(2))
    value[rows_[paired]] = inside[np.flatnonzero(paired), found[paired]]
    if inside.size:
        best[rows_] = inside.max(axis=1)
    return Match(pairs, value, best, every(alive_a, len(table)), dict(nulls or {}))


def rows(dictionary: Dictionary, by: str) -> Float[Array, "latent d"]:
    """The direction of each latent; sites of a crosscoder side by side.

    Args:
        dictionary: Whose latents.
        by: `decoder` or `encoder`.
    """
    n = dictionary.d_sae
    if by == "decoder":
        return dictionary.W_dec.reshape(n, -1)
    return jnp.moveaxis(dictionary.W_enc, -1, 0).reshape(n, -1)


def fires(dictionary: Dictionary, x: Tokens) -> Bool[np.ndarray, " latent"]:
    """Which latents fire on any token.

    Args:
        dictionary: Whose latents.
        x: What it reads.
    """
    return np.asarray(_fires(dictionary.encode, x))


@eqx.filter_jit
def _fires(encode: Callable, x: Array) -> Array:
    """Token by token in groups, so that all activations are never held at once."""
    each = jax.lax.map(lambda one: encode(one) != 0, x, batch_size=1024)
    return each.any(axis=0)


def _check(by: str, measure: str, x) -> None:
    """Refuse what cannot be compared.

    Raises:
        ValueError: as `match` says.
    """
    if by not in SIDES:
        raise ValueError(f"match: {unknown('side', by, SIDES)}")
    if measure not in MEASURES:
        raise ValueError(f"match: {unknown('measure', measure, MEASURES)}")
    if by == "activations" and x is None:
        raise ValueError(
            "match: to compare activations, give as `x` what the dictionaries read, on "
            "the same tokens."
        )
