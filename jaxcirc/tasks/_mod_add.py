"""Addition modulo p, the task of the grokking literature (Power et al. 2022)."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Int, Key

from ._task import AbstractTask, Batch, Split, TaskSpec


class ModAdd(AbstractTask):
    """`a b =` and the answer (a + b) mod p at the last position.

    All p² pairs are split once and for all: `train` and `test` share none and leave
    none out.
    """

    p: int = eqx.field(static=True)
    d_vocab: int = eqx.field(static=True)
    n_ctx: int = eqx.field(static=True)
    train: Int[Array, "example 2"]
    test: Int[Array, "example 2"]

    def __init__(self, p: int, train_fraction: float, split_seed: int):
        n_train = round(train_fraction * p * p)
        if p < 2:
            raise ValueError(f"mod_add: `p` must be at least 2; got {p}.")
        if not 0 < n_train < p * p:
            raise ValueError(
                f"mod_add: `train_fraction` = {train_fraction} leaves a split of the "
                f"{p * p} pairs empty; choose a number between 0 and 1, such as 0.3."
            )
        self.p, self.d_vocab, self.n_ctx = p, p + 1, 3
        # NumPy's stream, so that the split is the same on every version of JAX.
        order = np.random.default_rng(split_seed).permutation(p * p)
        pairs = np.stack([order // p, order % p], axis=1).astype(np.int32)
        self.train, self.test = (
            jnp.asarray(pairs[:n_train]),
            jnp.asarray(pairs[n_train:]),
        )

    def examples(self, split: Split) -> Batch:
        """Every pair of a split."""
        return self.label(self._pairs(split))

    def sample(self, n: int, *, split: Split = "train", key: Key[Array, ""]) -> Batch:
        """`n` pairs of a split, with replacement."""
        pairs = self._pairs(split)
        return self.label(pairs[jr.randint(key, (n,), 0, pairs.shape[0])])

    def label(self, pairs: Int[Array, "*example 2"]) -> Batch:
        """The sequences `a b =` for given pairs, with their answers."""
        equals = jnp.full((*pairs.shape[:-1], 1), self.p, pairs.dtype)
        tokens = jnp.concatenate([pairs, equals], axis=-1)
        last = jnp.zeros(tokens.shape, bool).at[..., -1].set(True)
        answer = (pairs.sum(-1, keepdims=True) % self.p).astype(pairs.dtype)
        return Batch(tokens, jnp.where(last, answer, 0), last)

    def corrupt(self, batch: Batch, *, key: Key[Array, ""]) -> Batch:
        """Another second summand, so always another answer."""
        shift = jr.randint(key, batch.tokens.shape[:-1], 1, self.p)
        pairs = batch.tokens[..., :2]
        return self.label(pairs.at[..., 1].set((pairs[..., 1] + shift) % self.p))

    def decode(self, tokens: Int[Array, " pos"]) -> list[str]:
        """Numbers, and `=`."""
        return ["=" if t == self.p else str(t) for t in np.asarray(tokens).tolist()]

    def describe(self) -> dict[str, str]:
        """Sizes of the splits."""
        return {
            "problem": f"(a + b) mod {self.p}",
            "train": f"{len(self.train):,} pairs",
            "test": f"{len(self.test):,} pairs",
        }

    def _pairs(self, split: Split) -> Int[Array, "example 2"]:
        return self.train if split == "train" else self.test


def mod_add(p: int = 113, train_fraction: float = 0.3, split_seed: int = 0) -> ModAdd:
    """Addition modulo `p`, trained on a fraction of all pairs.

    Args:
        p: The modulus.
        train_fraction: Share of the p² pairs to train on, in (0, 1).
        split_seed: Which pairs those are.
    """
    return ModAdd(p, train_fraction, split_seed)


SPEC = TaskSpec(
    name="mod_add",
    summary="addition modulo p with an exact train/test split of all pairs",
    build=mod_add,
    tiny={"p": 7},
)
