"""Tasks that are a list of prompts in pairs, in the tokens of any tokenizer."""

from collections.abc import Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Int, Key, UInt32

from .._core import fold_name
from ._batch import Batch, Split
from ._encoded import Encoded
from ._pairs import Pairs
from ._task import AbstractTask
from ._tokenizer import Tokenizer

# Odd, so that nothing is lost in multiplication modulo 2^32.
_FACTORS = (2654435761, 2246822519)


class PromptTask(AbstractTask):
    """Prompts, each with a counterpart and its answers; only the last place counts.

    All prompts are drawn when the task is made, by its seed: what is sampled later are
    rows of this table. Prompts differ in length; the shorter are filled up at the end,
    where a causal model does not look, and `end` says where each one ends.

    Args:
        name: What a study calls the task.
        problem: What is asked, for the report.
        train: Pairs to train on, in tokens.
        test: Pairs to test on.
        tokenizer: What the ids stand for.
        d_vocab: Ids are below it.
        dropped: Reason -> how many words or prompts it left out.

    Raises:
        ValueError: a split has no prompt.
    """

    name: str = eqx.field(static=True)
    problem: str = eqx.field(static=True)
    d_vocab: int = eqx.field(static=True)
    n_ctx: int = eqx.field(static=True)
    n_train: int = eqx.field(static=True)
    tokenizer: Tokenizer = eqx.field(static=True)
    reasons: tuple[tuple[str, int], ...] = eqx.field(static=True)
    table: Pairs
    marks: UInt32[Array, "row 2"]

    def __init__(
        self,
        name: str,
        problem: str,
        train: Sequence[Encoded],
        test: Sequence[Encoded],
        tokenizer: Tokenizer,
        d_vocab: int,
        dropped: Mapping[str, int],
    ):
        self.name, self.problem, self.tokenizer = name, problem, tokenizer
        self.reasons = tuple(sorted(dropped.items()))
        if not train or not test:
            raise ValueError(f"{name}: no prompt is left. {why_dropped(dropped)}")
        rows = [*train, *test]
        pad = 0 if tokenizer.bos is None else tokenizer.bos
        clean = _filled([row.clean for row in rows], pad)
        corrupted = _filled([row.corrupted for row in rows], pad)
        k = max(max(len(row.right), len(row.wrong)) for row in rows)
        right = _filled([row.right for row in rows], -1, k)
        wrong = _filled([row.wrong for row in rows], -1, k)
        # Names that only some sentences have are places at which these end.
        names = sorted({name for row in rows for name in row.places})
        places = {
            name: jnp.asarray(
                [row.places.get(name, row.places["end"]) for row in rows], jnp.int32
            )
            for name in names
        }
        self.table = Pairs(clean, corrupted, right, wrong, places)
        self.marks = _mark(clean)
        self.n_ctx, self.n_train = clean.shape[1], len(train)
        self.d_vocab = d_vocab

    @property
    def dropped(self) -> dict[str, int]:
        """Why words and prompts were left out, and how many; empty if none was."""
        return dict(self.reasons)

    def sample(self, n: int, *, split: Split = "train", key: Key[Array, ""]) -> Batch:
        """`n` prompts of a split, with replacement.

        Args:
            n: Number of examples.
            split: `train` or `test`.
            key: Random key of the draw.
        """
        first, size = self._range(split)
        return self._batch(self._rows(first + jr.randint(key, (n,), 0, size)))

    def examples(self, split: Split) -> Batch:
        """Every prompt of a split."""
        first, size = self._range(split)
        return self._batch(jax.tree.map(lambda x: x[first : first + size], self.table))

    def corrupt(self, batch: Batch, *, key: Key[Array, ""]) -> Batch:
        """The counterpart that each prompt has in the table; nothing is random here.

        Args:
            batch: Examples of this task.
            key: Not used: counterparts were drawn when the task was made.
        """
        del key
        return self._batch(self._rows(self._find(batch.tokens)), corrupted=True)

    def positions(
        self, batch: Batch, end: Int[Array, " example"]
    ) -> dict[str, Int[Array, " example"]]:
        """The places with a name, as the table has them.

        Args:
            batch: Examples of this task.
            end: The position of each whose answer is asked for.
        """
        del end
        places = self._rows(self._find(batch.tokens)).positions
        return {name: place for name, place in places.items() if name != "end"}

    def pairs(self, n: int, *, split: Split = "train", key: Key[Array, ""]) -> Pairs:
        """`n` different prompts of a split, or with repetitions where it has fewer.

        Args:
            n: How many; at least 1.
            split: Where they are from.
            key: Random key of the draw.

        Raises:
            ValueError: `n` is below 1.
        """
        if n < 1:
            raise ValueError(f"pairs: `n` must be at least 1; got {n}.")
        first, size = self._range(split)
        order = jr.permutation(fold_name(key, "sample"), size)
        return self._rows(first + order[jnp.arange(n) % size])

    def decode(self, tokens: Int[Array, " pos"]) -> list[str]:
        """The tokens as text."""
        return [self.tokenizer.show(token) for token in np.asarray(tokens).tolist()]

    def describe(self) -> dict[str, str]:
        """The problem, how many prompts there are, and what was left out and why."""
        facts = {
            "problem": self.problem,
            "train": f"{self.n_train:,} prompts",
            "test": f"{len(self.marks) - self.n_train:,} prompts",
            "tokens": f"of {self.d_vocab:,} kinds, {self.n_ctx} at most in a prompt",
        }
        if self.reasons:
            facts["left out"] = "; ".join(f"{n:,}: {why}" for why, n in self.reasons)
        return facts

    def _range(self, split: Split) -> tuple[int, int]:
        n_test = self.marks.shape[0] - self.n_train
        return (0, self.n_train) if split == "train" else (self.n_train, n_test)

    def _find(self, tokens: Int[Array, "*example pos"]) -> Int[Array, "*example"]:
        """The row of each clean prompt; 0 for what is not in the table."""
        asked = _mark(tokens)[..., None, :]
        known = self.marks.reshape((1,) * (tokens.ndim - 1) + self.marks.shape)
        return jnp.argmax((asked == known).all(axis=-1), axis=-1)

    def _rows(self, which: Int[Array, " example"]) -> Pairs:
        return jax.tree.map(lambda x: x[which], self.table)

    def _batch(self, rows: Pairs, corrupted: bool = False) -> Batch:
        """Prompts with their first answer, which alone is asked for."""
        tokens, answers = (
            (rows.corrupted, rows.wrong) if corrupted else (rows.clean, rows.right)
        )
        place = jnp.arange(tokens.shape[-1]).reshape((1,) * (tokens.ndim - 1) + (-1,))
        last = place == rows.positions["end"][..., None]
        # Elsewhere 0, which the mask hides: a loss over all places must still index.
        return Batch(tokens, jnp.where(last, answers[..., :1], 0), last)


def _filled(lists: Sequence[Sequence[int]], pad: int, width: int = 0) -> Array:
    width = width or max(map(len, lists))
    return jnp.asarray([[*x, *[pad] * (width - len(x))] for x in lists], jnp.int32)


def _mark(tokens: Int[Array, "*row pos"]) -> UInt32[Array, "*row 2"]:
    """Two numbers for each prompt by which it is found: hashes of 32 bits each."""
    # Two, since among ten thousands of prompts two would share one such number.
    return jnp.stack([_hash(tokens, factor) for factor in _FACTORS], axis=-1)


def _hash(tokens: Int[Array, "*row pos"], factor: int) -> UInt32[Array, "*row"]:
    mark = jnp.zeros(tokens.shape[:-1], jnp.uint32)
    for place in range(tokens.shape[-1]):
        token = tokens[..., place].astype(jnp.uint32)
        mark = (mark + token + jnp.uint32(1)) * jnp.uint32(factor)
        # Shifted bits break the linearity, in which swapped tokens might collide.
        mark = mark ^ (mark >> jnp.uint32(15))
    return mark


def why_dropped(dropped: Mapping[str, int]) -> str:
    """The end of a message that there are too few prompts: what was left out, and why.

    Args:
        dropped: Reason -> number.
    """
    reasons = "; ".join(f"{n:,}: {why}" for why, n in sorted(dropped.items()))
    return (
        f"Left out were {reasons or 'none'}. Give another tokenizer, a larger `n_ctx` "
        "or more `n_prompts`."
    )
