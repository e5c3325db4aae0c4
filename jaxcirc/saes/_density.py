"""How often latents fire, and how strongly."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._core import ratio
from ._running import Running


class Firing(NamedTuple):
    """How often, and how strongly, every latent fires.

    Args:
        counts: Tokens on which each latent is not 0.
        mean: Mean activation of each over all tokens, those where it is 0 included.
        largest: The largest activation of each; 0 where it never fires.
        n_tokens: How many tokens that rests on.
    """

    counts: Int[Array, "*member latent"]
    mean: Float[Array, "*member latent"]
    largest: Float[Array, "*member latent"]
    n_tokens: Int[Array, "*member"]

    @property
    def density(self) -> Float[Array, "*member latent"]:
        """The share of tokens on which each latent fires, in [0, 1]."""
        n = self.n_tokens.astype(jnp.float32)[..., None]
        n = jnp.broadcast_to(n, self.counts.shape)
        return ratio(self.counts.astype(jnp.float32), n, empty=jnp.nan)

    @property
    def l0(self) -> Float[Array, "*member"]:
        """How many latents fire on a token, in the mean."""
        # Counts are whole numbers, so that their sum is exact where densities' is not.
        n = self.n_tokens.astype(jnp.float32)
        return ratio(self.counts.astype(jnp.float32).sum(axis=-1), n, empty=jnp.nan)

    @property
    def l1(self) -> Float[Array, "*member"]:
        """The sum of the absolute activations of a token, in the mean.

        Activations are taken as they are; with decoder rows of another length than 1
        compare them times that length.
        """
        return jnp.abs(self.mean).sum(axis=-1)

    @property
    def dead(self) -> Bool[Array, "*member latent"]:
        """Latents that fired on none of the `n_tokens` tokens.

        Among n tokens a latent of density p is silent with probability about
        exp(-n p): one of density 3 / n seems to be dead one time in twenty.
        """
        return self.counts == 0

    @property
    def dead_share(self) -> Float[Array, "*member"]:
        """The share of latents that fired on none of the `n_tokens` tokens."""
        return self.dead.astype(jnp.float32).mean(axis=-1)

    def dense_share(self, above: float = 0.1) -> Float[Array, "*member"]:
        """The share of latents that fire on more than a share of all tokens.

        Args:
            above: The share of tokens; 0.1 and 0.01 are in use.
        """
        return (self.density > above).astype(jnp.float32).mean(axis=-1)

    def histogram(self, edges: Sequence[float]) -> Int[Array, "*member bin"]:
        """How many latents have a log10 density in each bin.

        Dead latents, whose logarithm is -inf, are in no bin.

        Args:
            edges: Edges of the bins, ascending, in powers of ten: -5.0 is one token in
                100,000. A bin has its lower edge and not its upper one; the last has
                both.

        Example:
            >>> import jax.numpy as jnp
            >>> from jaxcirc import saes
            >>> firing = saes.firing(jnp.array([[1.0, 0.0, 0.0], [2.0, 0.5, 0.0]]))
            >>> firing.density.tolist(), firing.dead.tolist(), float(firing.l0)
            ([1.0, 0.5, 0.0], [False, False, True], 1.5)
            >>> firing.histogram([-2.0, -1.0, 0.0]).tolist()
            [0, 2]
        """
        ends = jnp.asarray(edges, jnp.float32)
        log = jnp.log10(self.density)[..., None]
        flat = (1,) * (log.ndim - 1)
        low, high = ends[:-1].reshape(*flat, -1), ends[1:].reshape(*flat, -1)
        last = (jnp.arange(len(ends) - 1) == len(ends) - 2).reshape(*flat, -1)
        inside = (log >= low) & ((log < high) | (last & (log == high)))
        return inside.sum(axis=-2)


class FiringSums(NamedTuple):
    """What `Firing` is made of, of the tokens seen so far.

    Args:
        counts: As in `Firing`.
        sum: Sums of the activations of each latent.
        largest: As in `Firing`.
        n: Tokens.
    """

    counts: Int[Array, " latent"]
    sum: Running
    largest: Float[Array, " latent"]
    n: Int[Array, ""]


def no_firing(n_latents: int) -> FiringSums:
    """The sums before any token was seen."""
    return FiringSums(
        jnp.zeros((n_latents,), jnp.int32),
        Running.zero((n_latents,)),
        jnp.full((n_latents,), -jnp.inf, jnp.float32),
        jnp.zeros((), jnp.int32),
    )


def with_firing(
    sums: FiringSums, f: Float[Array, "token latent"], where: Bool[Array, " token"]
) -> FiringSums:
    """The sums with one more batch.

    Args:
        sums: Of what was seen before.
        f: Activations of the latents.
        where: The tokens that count.
    """
    f = jnp.where(where[:, None], f.astype(jnp.float32), 0)
    return FiringSums(
        sums.counts + (f != 0).sum(axis=0, dtype=jnp.int32),
        sums.sum.plus(f.sum(axis=0)),
        jnp.maximum(sums.largest, jnp.where(f != 0, f, -jnp.inf).max(axis=0)),
        sums.n + where.sum(dtype=jnp.int32),
    )


def firing_of(sums: FiringSums) -> Firing:
    """Densities and means of all that was seen.

    Args:
        sums: Over all batches.
    """
    n = jnp.full_like(sums.sum.value, sums.n.astype(jnp.float32))
    mean = ratio(sums.sum.total, n, empty=jnp.nan)
    largest = jnp.where(sums.counts > 0, sums.largest, 0)
    return Firing(sums.counts, mean, largest, sums.n)


def firing(f: Float[Array, "token latent"]) -> Firing:
    """How often and how strongly latents fire, of activations that are there already.

    Args:
        f: Activations of the latents, as `dictionary.encode` gives them.

    Returns:
        Counts, means and largest activations, from which L0, L1, densities and the
        dead and the dense share follow.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc import saes
        >>> found = saes.firing(jnp.array([[0.0, 3.0], [0.0, 1.0]]))
        >>> float(found.l0), float(found.l1), float(found.dead_share)
        (1.0, 2.0, 0.5)
    """
    return firing_of(with_firing(no_firing(f.shape[1]), f, jnp.ones(len(f), bool)))
