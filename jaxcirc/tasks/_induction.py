"""Repeated random sequences: what induction heads are for (Olsson et al. 2022)."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Int, Key

from .._core import fold_name
from ._batch import Batch, Split
from ._pairs import Pairs
from ._task import AbstractTask, TaskSpec


class Induction(AbstractTask):
    """`BOS r r r …`: a random block `r` of distinct tokens, repeated to the end.

    Without `bos` the first token is one of the block, as models need that know none.

    The block's length differs from sequence to sequence, so that no fixed offset
    predicts the next token: the model must find the earlier occurrence. From the second
    block's first token on the answer is determined, and only there it counts.

    Args:
        n_symbols: Distinct tokens, besides BOS, whose id is `n_symbols`.
        n_ctx: Length of a sequence, BOS included.
        shortest: Shortest block, in tokens.
        longest: Longest block; lengths in between are drawn evenly.
        bos: Begin every sequence with a token of its own.

    Raises:
        ValueError: blocks have fewer than two tokens, or do not fit the tokens or the
            context.

    Example:
        >>> import jax.random as jr
        >>> batch = Induction(9, 8, 3, 3).sample(1, key=jr.key(0))
        >>> tokens, block = batch.tokens[0].tolist(), batch.targets[0, :3].tolist()
        >>> tokens == [9, *block, *block, block[0]], batch.mask[0].tolist().index(True)
        (True, 4)
    """

    n_symbols: int = eqx.field(static=True)
    shortest: int = eqx.field(static=True)
    longest: int = eqx.field(static=True)
    bos: bool = eqx.field(static=True)
    d_vocab: int = eqx.field(static=True)
    n_ctx: int = eqx.field(static=True)

    def __init__(
        self,
        n_symbols: int,
        n_ctx: int,
        shortest: int,
        longest: int,
        bos: bool = True,
    ):
        if not 2 <= shortest <= longest <= min(n_symbols, n_ctx - 2):
            raise ValueError(
                f"induction: block lengths {shortest} to {longest} do not fit "
                f"`n_symbols` = {n_symbols} distinct tokens and `n_ctx` = {n_ctx}; "
                "need 2 <= shortest <= longest <= min(n_symbols, n_ctx - 2)."
            )
        self.n_symbols, self.n_ctx = n_symbols, n_ctx
        self.shortest, self.longest = shortest, longest
        self.bos = bos
        self.d_vocab = n_symbols + bos

    @property
    def periods(self) -> tuple[int, ...]:
        """The shortest block, a middle one and the longest."""
        middle = (self.shortest + self.longest) // 2
        return tuple(sorted({self.shortest, middle, self.longest}))

    def sample(self, n: int, *, split: Split = "train", key: Key[Array, ""]) -> Batch:
        """`n` sequences, drawn afresh for either split: the domain has no end.

        Args:
            n: Number of examples.
            split: `train` or `test`.
            key: Random key of the draw.
        """
        del split
        length_key, order_key = jr.split(key)
        length = jr.randint(length_key, (n, 1), self.shortest, self.longest + 1)
        # The order of random numbers is a random order of distinct tokens.
        order = jnp.argsort(jr.uniform(order_key, (n, self.n_symbols)), axis=-1)
        place = jnp.arange(self.n_ctx + (not self.bos))[None, :] % length
        symbols = jnp.take_along_axis(order, place, axis=-1).astype(jnp.int32)
        tokens = symbols
        if self.bos:
            bos = jnp.full((n, 1), self.n_symbols, jnp.int32)
            tokens = jnp.concatenate([bos, symbols], axis=-1)
        # With BOS, position i holds symbol i - 1; symbol `length` starts anew.
        mask = jnp.arange(self.n_ctx)[None, :] >= length + int(self.bos)
        return Batch(tokens[:, :-1], tokens[:, 1:], mask)

    def corrupt(self, batch: Batch, *, key: Key[Array, ""]) -> Batch:
        """Every token renamed by one random shift: the same pattern, other answers.

        Args:
            batch: Examples of this task.
            key: Random key of the counterparts.
        """
        shape = (*batch.tokens.shape[:-1], 1)
        shift = jr.randint(key, shape, 1, self.n_symbols)

        # A shift of all symbols keeps them distinct, and moves every one of them.
        def rename(tokens: Array) -> Array:
            moved = (tokens + shift) % self.n_symbols
            return jnp.where(tokens == self.n_symbols, tokens, moved)

        return Batch(rename(batch.tokens), rename(batch.targets), batch.mask)

    def pairs(self, n: int, *, split: Split = "train", key: Key[Array, ""]) -> Pairs:
        """`n` sequences, and each with its blocks in another order.

        The counterpart repeats the same tokens the other way round, from a random place
        on, and ends with the same token. So the question is the same, and another token
        follows the earlier occurrence, which is at another place. What a head finds by
        looking for what comes behind an equal token differs, and what the last token
        says by itself does not. (In `corrupt`, all tokens are renamed: there, both ends
        of a match change together.)

        Args:
            n: How many; at least 1.
            split: As for `sample`; it makes no difference.
            key: Random key of sequences and counterparts.

        Returns:
            Pairs that ask at the last position. Blocks of two tokens have no other
            order: their answers are -1.

        Raises:
            ValueError: `n` is below 1.
        """
        if n < 1:
            raise ValueError(f"pairs: `n` must be at least 1; got {n}.")
        clean = self.sample(n, split=split, key=fold_name(key, "sample"))
        # The answers begin to count behind the first block.
        length = jnp.argmax(clean.mask, axis=-1)[:, None] - int(self.bos)
        first, end = int(self.bos), self.n_ctx - 1
        place = jnp.arange(self.n_ctx)[None, :] - first
        asked = (end - first) % length
        # Backwards, token `asked` comes to stand at `turn - asked`: neither where it
        # stood, nor just before the end, where it would be its own successor.
        draw = jr.uniform(fold_name(key, "corrupt"), (n, 1))
        free = jnp.maximum(length - 2, 1)
        turn = 2 * asked + 1 + (draw * free.astype(draw.dtype)).astype(length.dtype)
        block = lambda at: jnp.take_along_axis(clean.tokens, first + at % length, -1)
        backwards = block(turn - place)
        kept = (place < 0) | (place == end - first)
        corrupted = jnp.where(kept, clean.tokens, backwards)
        other = length > 2
        right, wrong = (block(asked + step) for step in (1, -1))
        ends = jnp.full(n, end, jnp.int32)
        return Pairs(
            clean.tokens,
            corrupted,
            jnp.where(other, right, -1),
            jnp.where(other, wrong, -1),
            {**self.positions(clean, ends), "end": ends},
        )

    def positions(
        self, batch: Batch, end: Int[Array, " example"]
    ) -> dict[str, Int[Array, " example"]]:
        """Where an induction head finds the answer.

        `previous` is the last place before `end` with the same token, and `source` the
        one behind it, which holds the answer: from `end` a head looks at `source`.

        Args:
            batch: Examples of this task.
            end: The position of each whose answer is asked for.
        """
        place = jnp.arange(batch.tokens.shape[-1])[None, :]
        here = jnp.take_along_axis(batch.tokens, end[:, None], axis=-1)
        same = (batch.tokens == here) & (place < end[:, None])
        # From the end, as `argmax` finds the first of equals.
        last = same.shape[-1] - 1 - jnp.argmax(same[:, ::-1], axis=-1)
        previous = last.astype(end.dtype)
        return {"previous": previous, "source": previous + 1}

    def decode(self, tokens: Int[Array, " pos"]) -> list[str]:
        """The symbols as numbers, and `BOS`."""
        ids = np.asarray(tokens).tolist()
        return ["BOS" if t == self.n_symbols else str(t) for t in ids]

    def describe(self) -> dict[str, str]:
        """The problem, the lengths of blocks, and where examples are from."""
        return {
            "problem": "continue a random block of tokens that repeats",
            "blocks": f"{self.shortest} to {self.longest} of {self.n_symbols} tokens",
            "train and test": "fresh draws; no sequence is seen twice",
        }


def induction(
    n_symbols: int = 64,
    n_ctx: int = 48,
    shortest: int = 8,
    longest: int = 24,
    bos: bool = True,
) -> Induction:
    """The task of repeated random blocks; see `Induction`.

    Args:
        n_symbols: Distinct tokens, besides BOS.
        n_ctx: Length of a sequence, BOS included.
        shortest: Shortest block.
        longest: Longest block.
        bos: Begin every sequence with a token of its own.
    """
    return Induction(n_symbols, n_ctx, shortest, longest, bos)


SPEC = TaskSpec(
    name="induction",
    summary="repeated random blocks; predicting the repetition needs induction heads",
    build=induction,
    tiny={"n_symbols": 12, "n_ctx": 16, "shortest": 3, "longest": 6},
)
