"""Addition modulo p, the task of the grokking literature (Power et al. 2022)."""

from collections.abc import Sequence
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Int, Key

from ._batch import Batch, Split
from ._splits import given_split, random_split
from ._task import AbstractTask, TaskSpec


class ModAdd(AbstractTask):
    """`a b =` and the answer (a + b) mod p at the last position.

    All p² pairs are split once and for all: `train` and `test` share none and leave
    none out. Answers are the p numbers; with `=` they are p + 1, which the model of a
    study of its own gets unless the task says otherwise.

    Args:
        p: The modulus.
        train_fraction: Share of the pairs to train on, drawn at random.
        split_seed: Which pairs those are.
        outputs: Logits of a model: `tokens`, the numbers and `=`, or `numbers` alone.
        train: A split that is given instead; see `mod_add`.

    Raises:
        ValueError: `p` is below 2, or a split is empty or cannot be read.

    Example:
        >>> import jax.random as jr
        >>> pairs = ModAdd(7, 0.5, 0).pairs(1, key=jr.key(0))
        >>> a, b, _ = pairs.clean[0]
        >>> bool((a + b) % 7 == pairs.right[0, 0])
        True
        >>> sorted(pairs.positions)
        ['a', 'b', 'end']
    """

    p: int = eqx.field(static=True)
    d_vocab: int = eqx.field(static=True)
    n_ctx: int = eqx.field(static=True)
    outputs: Literal["tokens", "numbers"] = eqx.field(static=True)
    train: Int[Array, "example 2"]
    test: Int[Array, "example 2"]

    def __init__(
        self,
        p: int,
        train_fraction: float,
        split_seed: int,
        outputs: Literal["tokens", "numbers"] = "tokens",
        train: str | Sequence[Any] | np.ndarray | None = None,
    ):
        if p < 2:
            raise ValueError(f"mod_add: `p` must be at least 2; got {p}.")
        self.p, self.d_vocab, self.n_ctx = p, p + 1, 3
        self.outputs = outputs
        if train is None:
            splits = random_split(p, train_fraction, split_seed)
        else:
            splits = given_split(p, train)
        self.train, self.test = (
            jnp.asarray(np.stack([n // p, n % p], axis=1).astype(np.int32))
            for n in splits
        )

    @property
    def n_answers(self) -> int:
        """How many answers there are: the numbers, since `=` is never one."""
        return self.p

    @property
    def d_vocab_out(self) -> int:
        """Logits: one for each number, and one more for `=` unless it is left out."""
        return self.p if self.outputs == "numbers" else self.d_vocab

    def examples(self, split: Split) -> Batch:
        """Every pair of a split."""
        return self.label(self._pairs(split))

    def sample(self, n: int, *, split: Split = "train", key: Key[Array, ""]) -> Batch:
        """`n` pairs of a split, with replacement.

        Args:
            n: Number of examples.
            split: `train` or `test`.
            key: Random key of the draw.
        """
        pairs = self._pairs(split)
        return self.label(pairs[jr.randint(key, (n,), 0, pairs.shape[0])])

    def label(self, pairs: Int[Array, "*example 2"]) -> Batch:
        """The sequences `a b =` for given pairs, with their answers."""
        equals = jnp.full((*pairs.shape[:-1], 1), self.p, pairs.dtype)
        tokens = jnp.concatenate([pairs, equals], axis=-1)
        last = jnp.zeros(tokens.shape, bool).at[..., -1].set(True)
        # Elsewhere 0, which the mask hides: a loss over all places must still index.
        answer = (pairs.sum(-1, keepdims=True) % self.p).astype(pairs.dtype)
        return Batch(tokens, jnp.where(last, answer, 0), last)

    def corrupt(self, batch: Batch, *, key: Key[Array, ""]) -> Batch:
        """The same pairs with another second summand, so always with another answer.

        Args:
            batch: Examples of this task.
            key: Random key of the counterparts.
        """
        # From 1 to p - 1: a shift by 0 would leave the answer as it is.
        shift = jr.randint(key, batch.tokens.shape[:-1], 1, self.p)
        pairs = batch.tokens[..., :2]
        return self.label(pairs.at[..., 1].set((pairs[..., 1] + shift) % self.p))

    def positions(
        self, batch: Batch, end: Int[Array, " example"]
    ) -> dict[str, Int[Array, " example"]]:
        """The summands `a` and `b`; only `b` is another one when corrupted.

        Args:
            batch: Examples of this task.
            end: The position of each whose answer is asked for.
        """
        del batch
        return {"a": jnp.zeros_like(end), "b": jnp.ones_like(end)}

    def decode(self, tokens: Int[Array, " pos"]) -> list[str]:
        """The numbers as text, and `=` for the last id."""
        return ["=" if t == self.p else str(t) for t in np.asarray(tokens).tolist()]

    def describe(self) -> dict[str, str]:
        """The problem, and how many pairs each split has."""
        return {
            "problem": f"(a + b) mod {self.p}",
            "train": f"{len(self.train):,} pairs",
            "test": f"{len(self.test):,} pairs",
        }

    def _pairs(self, split: Split) -> Int[Array, "example 2"]:
        return self.train if split == "train" else self.test


def mod_add(
    p: int = 113,
    train_fraction: float = 0.3,
    split_seed: int = 0,
    outputs: Literal["tokens", "numbers"] = "tokens",
    train: str | list[Any] | None = None,
) -> ModAdd:
    """Addition modulo `p`, trained on a fraction of all pairs.

    Args:
        p: The modulus.
        train_fraction: Share of the p² pairs to train on, in (0, 1).
        split_seed: Which pairs those are.
        outputs: Logits of a model that is trained here: `tokens` for the p numbers and
            `=`, or `numbers`, as published checkpoints often have.
        train: The pairs to train on, in place of a random share: a `.npy` or `.npz`
            file, or a list, of numbers a p + b, of pairs [a, b], or of p² booleans.

    Raises:
        ValueError: `p` is below 2, or a split is empty or cannot be read.
    """
    return ModAdd(p, train_fraction, split_seed, outputs, train)


SPEC = TaskSpec(
    name="mod_add",
    summary="addition modulo p with an exact train/test split of all pairs",
    build=mod_add,
    tiny={"p": 7},
)
