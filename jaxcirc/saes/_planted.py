"""Ground truth for dictionaries: activations that are made of known features."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from .._core import fold_name, normal
from ._frequencies import joint, zipf

# No feature fires more often: what always fires is a bias, not a feature.
MOST_FREQUENT = 0.5


class Sample(NamedTuple):
    """Activations and what they are made of.

    Args:
        activations: What a dictionary is trained on.
        features: The magnitude of every feature, 0 where it does not fire.
    """

    activations: Float[Array, "token d"]
    features: Float[Array, "token feature"]


class Planted(eqx.Module):
    """Sparse features in superposition, with everything known about them.

    A token's activation is the sum of the directions of the features that fire, each
    times its magnitude, and noise:

        x = Σ_i f_i d_i + noise · ε,   f_i = fires_i · uniform(low, high)

    Whether a feature fires depends on at most one other. A child fires only where its
    parent does, and never beside another child of it. The second of a correlated pair
    fires with one probability beside the first and with another one without it. All
    others are independent. It is a pytree: a `jax.vmap` over keys or over instances is
    one program.

    Attributes:
        directions: The direction of each feature; rows have length 1.
        probability: How often each fires.
        parent: The feature without which it does not fire, or -1.
        share: Where the parent fires and draws a uniform number in this range, its
            child does; both ends are 0 for what is no child.
        partner: The first one of its pair, for a second one; -1 for all others.
        beside: The probability of a second one where the first fires.
        without: Its probability where the first does not.
        alive: Features that can fire at all; others are planted, and silent.
        low: The smallest magnitude of a feature that fires.
        high: The largest.
        noise: Standard deviation of the noise in each coordinate.
    """

    directions: Float[Array, "feature d"]
    probability: Float[Array, " feature"]
    parent: Int[Array, " feature"]
    share: Float[Array, "feature 2"]
    partner: Int[Array, " feature"]
    beside: Float[Array, " feature"]
    without: Float[Array, " feature"]
    alive: Bool[Array, " feature"]
    low: Float[Array, ""]
    high: Float[Array, ""]
    noise: Float[Array, ""]

    @property
    def l0(self) -> Float[Array, ""]:
        """How many features fire in the mean, of those that are alive.

        It is the L0 that a dictionary with one latent for each feature has. Where a
        parent is not alive, its children cannot fire either.
        """
        there = self.alive & jnp.where(self.parent < 0, True, self.alive[self.parent])
        return jnp.where(there, self.probability, 0).sum()

    def sample(self, n: int, *, key: Key[Array, ""]) -> Sample:
        """`n` tokens, drawn independently.

        Args:
            n: How many.
            key: Random key of the draw. With the same key, checkpoints of a
                `PlantedRun` give the same tokens, up to what has changed in them.

        Returns:
            The activations, and the magnitudes of the features in each.

        Example:
            >>> import jax.random as jr
            >>> from jaxcirc import saes
            >>> truth = saes.planted(32, 8, l0=3.0, key=jr.key(0))
            >>> drawn = truth.sample(4000, key=jr.key(1))
            >>> drawn.activations.shape, drawn.features.shape
            ((4000, 8), (4000, 32))
            >>> round(float((drawn.features > 0).sum(axis=1).mean()), 1)
            3.0
        """
        fires = self.fires(n, key=key)
        shape = (n, len(self.probability))
        magnitude = jr.uniform(
            fold_name(key, "magnitude"), shape, jnp.float32, self.low, self.high
        )
        features = jnp.where(fires, magnitude, 0)
        noise = normal(
            fold_name(key, "noise"), (n, self.directions.shape[1]), jnp.float32
        )
        made = jnp.matmul(features, self.directions, precision="highest")
        return Sample(made + self.noise * noise, features)

    def fires(self, n: int, *, key: Key[Array, ""]) -> Bool[Array, "token feature"]:
        """Which features fire in each of `n` tokens.

        Args:
            n: How many tokens.
            key: Random key of the draw; `sample` uses it in the same way.
        """
        shape = (n, len(self.probability))
        drawn = jr.uniform(fold_name(key, "fires"), shape, jnp.float32)
        alone = drawn < self.probability[None]
        beside = jnp.where(
            alone[:, self.partner], self.beside[None], self.without[None]
        )
        paired = jnp.where(self.partner[None] < 0, alone, drawn < beside)
        # One number of the parent decides among its children, so that they exclude
        # each other.
        chosen = jr.uniform(fold_name(key, "child"), shape, jnp.float32)[:, self.parent]
        child = (chosen >= self.share[None, :, 0]) & (chosen < self.share[None, :, 1])
        there = (paired & self.alive[None])[:, self.parent]
        fires = jnp.where(self.parent[None] < 0, paired, there & child)
        return fires & self.alive[None]


def planted(
    n_features: int,
    d: int,
    *,
    l0: float,
    exponent: float = 0.5,
    n_pairs: int = 0,
    correlation: float = 0.3,
    n_parents: int = 0,
    n_children: int = 4,
    with_child: float = 0.8,
    magnitudes: tuple[float, float] = (0.5, 1.5),
    noise: float = 0.0,
    key: Key[Array, ""],
) -> Planted:
    """Features with random directions that fire by Zipf's law, some of them together.

    Features come in this order: parents, the firsts and seconds of correlated pairs in
    turn, independent ones, and children, `n_children` of each parent in turn. All but
    children fire with probability c · rank^-exponent, at most one half, in their order;
    a child fires with probability `with_child / n_children` where its parent does. The
    constant c is such that `l0` features fire in the mean, children included.

    Args:
        n_features: How many features; more than `d` of them are in superposition.
        d: Dimensions of the activations.
        l0: How many features fire in the mean.
        exponent: Of Zipf's law; 0 if all are to be as frequent.
        n_pairs: Pairs of features that are correlated.
        correlation: Pearson's, between whether the two of a pair fire.
        n_parents: Features with children.
        n_children: Children of each parent, of which at most one fires.
        with_child: The share of the tokens with a parent that have a child of it.
        magnitudes: The range from which the magnitude of what fires is drawn.
        noise: Standard deviation of the noise in each coordinate.
        key: Random key of the directions.

    Returns:
        The features: `sample` draws activations of them.

    Raises:
        ValueError: there are fewer features than pairs and families need, a number is
            out of its range, or `l0` or the correlation are out of reach.

    Example:
        Half of the features have a family, and the mean number of features is as asked
        for.

        >>> import jax.random as jr
        >>> from jaxcirc import saes
        >>> truth = saes.planted(
        ...     20, 8, l0=2.0, n_parents=2, n_children=4, key=jr.key(0)
        ... )
        >>> truth.parent.tolist()[-8:]
        [0, 0, 0, 0, 1, 1, 1, 1]
        >>> round(float(truth.l0), 4)
        2.0
    """
    free = _check(n_features, d, n_pairs, n_parents, n_children, with_child)
    low, high = magnitudes
    if not 0 < low <= high or noise < 0:
        raise ValueError(
            "planted: magnitudes must ascend from above 0 and noise not be negative; "
            f"got {magnitudes} and {noise}."
        )
    family = np.where(np.arange(free) < n_parents, 1 + with_child, 1.0)
    p = zipf(family, exponent, l0, MOST_FREQUENT)
    parent = np.repeat(np.arange(n_parents), n_children)
    ends = np.linspace(0, with_child, n_children + 1)
    share = np.tile(np.stack([ends[:-1], ends[1:]], 1), (n_parents, 1))
    first = n_parents + 2 * np.arange(n_pairs)
    both = joint(p[first], p[first + 1], correlation)
    partner, beside, without = np.full(free, -1), np.zeros(free), np.zeros(free)
    partner[first + 1] = first
    beside[first + 1] = both / p[first]
    without[first + 1] = (p[first + 1] - both) / (1 - p[first])
    n_young = len(parent)
    longer = lambda x, fill: np.concatenate([x, np.full(n_young, fill, x.dtype)])
    real = lambda x: jnp.asarray(x, jnp.float32)
    directions = normal(key, (n_features, d), jnp.float32)
    return Planted(
        directions / jnp.linalg.norm(directions, axis=1, keepdims=True),
        real(np.concatenate([p, p[parent] * with_child / max(n_children, 1)])),
        jnp.asarray(np.concatenate([np.full(free, -1), parent]), jnp.int32),
        real(np.concatenate([np.zeros((free, 2)), share])),
        jnp.asarray(longer(partner, -1), jnp.int32),
        real(longer(beside, 0)),
        real(longer(without, 0)),
        jnp.ones(n_features, bool),
        real(low),
        real(high),
        real(noise),
    )


def _check(n_features, d, n_pairs, n_parents, n_children, with_child) -> int:
    """How many features are no children.

    Raises:
        ValueError: as `planted` says.
    """
    if min(n_pairs, n_parents, n_children) < 0 or min(n_features, d) < 1:
        raise ValueError(
            "planted: needs at least one feature and one dimension, and no negative "
            f"number of pairs, parents or children; got {n_features}, {d}, {n_pairs}, "
            f"{n_parents} and {n_children}."
        )
    if not 0 <= with_child <= 1:
        raise ValueError(
            f"planted: `with_child` is a share, from 0 to 1; got {with_child}."
        )
    needed = n_parents * (1 + n_children) + 2 * n_pairs
    if needed > n_features:
        raise ValueError(
            f"planted: {n_parents} families of {1 + n_children} and {n_pairs} pairs "
            f"need {needed} features; got {n_features}."
        )
    return n_features - n_parents * n_children
