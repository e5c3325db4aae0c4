"""Random sequences that are read back: what a circuit of induction gets wrong."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Int, Key

from ._batch import Batch, Split
from ._induction import Induction
from ._task import AbstractTask, TaskSpec


class Mirror(AbstractTask):
    """`BOS r r̄ r r̄ …`: a random block `r` of distinct tokens, forwards and backwards.

    What comes next is the token *before* the earlier occurrence of the present one,
    where induction says the token after it. So the two tasks share the search for the
    earlier occurrence and contradict each other in the answer: a model of induction
    that is finetuned here has to give up the pattern of its induction head. The only
    places without such an answer are the turns back to the first token, which is
    repeated at once.

    Args:
        n_symbols: Distinct tokens, besides BOS, whose id is `n_symbols`.
        n_ctx: Length of a sequence, BOS included.
        shortest: Shortest block, in tokens.
        longest: Longest block; lengths in between are drawn evenly.

    Raises:
        ValueError: blocks have fewer than two tokens, or do not fit the tokens or the
            context.

    Example:
        >>> import jax.random as jr
        >>> tokens = Mirror(9, 8, 3, 3).sample(1, key=jr.key(0)).tokens[0].tolist()
        >>> tokens[4:7] == tokens[3:0:-1]
        True
    """

    straight: Induction
    d_vocab: int = eqx.field(static=True)
    n_ctx: int = eqx.field(static=True)

    def __init__(self, n_symbols: int, n_ctx: int, shortest: int, longest: int):
        try:
            self.straight = Induction(n_symbols, n_ctx, shortest, longest)
        except ValueError as error:
            raise ValueError(str(error).replace("induction", "mirror", 1)) from error
        self.d_vocab, self.n_ctx = self.straight.d_vocab, n_ctx

    @property
    def periods(self) -> tuple[int, ...]:
        """Those of induction, for whose heads the same lengths are asked."""
        return self.straight.periods

    def sample(self, n: int, *, split: Split = "train", key: Key[Array, ""]) -> Batch:
        """`n` sequences, drawn afresh for either split: the domain has no end.

        Args:
            n: Number of examples.
            split: `train` or `test`.
            key: Random key of the draw.
        """
        del split
        task = self.straight
        length_key, order_key = jr.split(key)
        length = jr.randint(length_key, (n, 1), task.shortest, task.longest + 1)
        order = jnp.argsort(jr.uniform(order_key, (n, task.n_symbols)), axis=-1)
        # A triangle wave: up through the block, down again, and so on.
        place = jnp.arange(self.n_ctx)[None, :] % (2 * length)
        place = jnp.where(place < length, place, 2 * length - 1 - place)
        symbols = jnp.take_along_axis(order, place, axis=-1).astype(jnp.int32)
        bos = jnp.full((n, 1), task.n_symbols, jnp.int32)
        tokens = jnp.concatenate([bos, symbols], axis=-1)
        # As in induction: nothing says that the first block has ended.
        mask = jnp.arange(self.n_ctx)[None, :] >= length + 1
        return Batch(tokens[:, :-1], tokens[:, 1:], mask)

    def corrupt(self, batch: Batch, *, key: Key[Array, ""]) -> Batch:
        """Every token renamed by one random shift: the same pattern, other answers.

        Args:
            batch: Examples of this task.
            key: Random key of the counterparts.
        """
        return self.straight.corrupt(batch, key=key)

    def positions(
        self, batch: Batch, end: Int[Array, " example"]
    ) -> dict[str, Int[Array, " example"]]:
        """Where the answer can be read.

        `previous` is the last place before `end` with the same token, and `source` the
        one before it, which holds the answer.

        Args:
            batch: Examples of this task.
            end: The position of each whose answer is asked for.
        """
        previous = self.straight.positions(batch, end)["previous"]
        return {"previous": previous, "source": jnp.maximum(previous - 1, 0)}

    def decode(self, tokens: Int[Array, " pos"]) -> list[str]:
        """The symbols as numbers, and `BOS`."""
        return self.straight.decode(tokens)

    def describe(self) -> dict[str, str]:
        """The problem, the lengths of blocks, and where examples are from."""
        problem = "read a random block of tokens backwards, and forwards again"
        return self.straight.describe() | {"problem": problem}


def mirror(
    n_symbols: int = 64, n_ctx: int = 48, shortest: int = 8, longest: int = 24
) -> Mirror:
    """The task of random blocks that are read back; see `Mirror`.

    Args:
        n_symbols: Distinct tokens, besides BOS.
        n_ctx: Length of a sequence, BOS included.
        shortest: Shortest block.
        longest: Longest block.
    """
    return Mirror(n_symbols, n_ctx, shortest, longest)


SPEC = TaskSpec(
    name="mirror",
    summary="random blocks, forwards and backwards: the opposite of induction",
    build=mirror,
    tiny={"n_symbols": 12, "n_ctx": 16, "shortest": 3, "longest": 6},
)
