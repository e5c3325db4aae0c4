"""What every task gives, and a row of the task catalogue."""

import abc
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from .._core import fold_name
from ._batch import Batch, Split
from ._pairs import Pairs, pairs_of


class AbstractTask(eqx.Module):
    """Data for one problem: examples with right answers, and counterparts with others.

    Arrays are fields, so that a task is an argument of a compiled program and not a
    constant of it. A subclass says `d_vocab`, the tokens that go in, and `n_ctx`, the
    length of its sequences, and has `sample`, `corrupt`, `decode` and `describe`; the
    rest has an answer here that it may replace.

    Attributes:
        d_vocab: Number of tokens; ids are below it.
        n_ctx: Length of a sequence, in tokens.
    """

    d_vocab: eqx.AbstractVar[int]
    n_ctx: eqx.AbstractVar[int]

    @property
    def d_vocab_out(self) -> int:
        """How many logits a model of it has; one for each token by default."""
        return self.d_vocab

    @property
    def n_answers(self) -> int:
        """Targets are below this number, so a model needs at least as many logits."""
        return self.d_vocab_out

    @property
    def periods(self) -> tuple[int, ...]:
        """Lengths of the blocks that its sequences repeat, in tokens; none if none."""
        return ()

    @abc.abstractmethod
    def sample(self, n: int, *, split: Split = "train", key: Key[Array, ""]) -> Batch:
        """`n` random examples of a split, with replacement where it is finite.

        Args:
            n: Number of examples.
            split: `train` or `test`.
            key: Random key of the draw.
        """

    def examples(self, split: Split) -> Batch | None:
        """Every example of a split, or None where the domain has no end."""
        del split

    @abc.abstractmethod
    def corrupt(self, batch: Batch, *, key: Key[Array, ""]) -> Batch:
        """A counterpart of equal length for each example, with other right answers.

        This is the one thing that a task says about wrong answers: `pairs` are made of
        it, and a measurement of performance compares with it at every position.

        Args:
            batch: Examples of this task.
            key: Random key of what is random in the counterparts.
        """

    def positions(
        self, batch: Batch, end: Int[Array, " example"]
    ) -> dict[str, Int[Array, " example"]]:
        """Places with a part in the answer at `end`, by name, for each example.

        Args:
            batch: Examples of this task.
            end: The position of each whose answer is asked for.

        Returns:
            Name -> position; none unless a task has names for some. `pairs` adds `end`.
        """
        del batch, end
        return {}

    def pairs(self, n: int, *, split: Split = "train", key: Key[Array, ""]) -> Pairs:
        """`n` prompts with a corrupted counterpart, and the answers of both.

        An example and what `corrupt` makes of it. The answer that is asked for is the
        last one that counts in both and is not the same; a task with several right or
        wrong answers has a `pairs` of its own.

        Args:
            n: How many; at least 1.
            split: Where the clean sequences are from.
            key: Random key of the examples and their counterparts.

        Returns:
            Pairs with one right and one wrong answer each. Twice as many are drawn, so
            that one without another answer (-1, see `Pairs`) is left only where the
            task hardly has any.

        Raises:
            ValueError: `n` is below 1.
        """
        if n < 1:
            raise ValueError(f"pairs: `n` must be at least 1; got {n}.")
        # Keys by name: the same examples as ever, whatever a task does to corrupt them.
        drawn = self.sample(2 * n, split=split, key=fold_name(key, "sample"))
        wrong = self.corrupt(drawn, key=fold_name(key, "corrupt"))
        clean, corrupted, end, found = pairs_of(drawn, wrong, n)

        def answer(targets: Array) -> Array:
            at_end = jnp.take_along_axis(targets, end[:, None], axis=-1)
            return jnp.where(found[:, None], at_end, -1)

        return Pairs(
            clean.tokens,
            corrupted.tokens,
            answer(clean.targets),
            answer(corrupted.targets),
            {**self.positions(clean, end), "end": end},
        )

    def features(
        self, tokens: Int[Array, "*example pos"]
    ) -> Float[Array, "*example feature"] | None:
        """Which planted features each sequence has, or None where none are planted.

        They are what the last position has to hold: the truth beside which dictionaries
        of its activations can be judged.

        Args:
            tokens: Sequences of this task.
        """
        del tokens

    def solution(self) -> PyTree | None:
        """A model that is known to solve the task, or None if none is known."""
        return None

    @abc.abstractmethod
    def decode(self, tokens: Int[Array, " pos"]) -> list[str]:
        """What each token looks like to a person."""

    @abc.abstractmethod
    def describe(self) -> dict[str, str]:
        """A few facts about the data, for the report."""


class TaskSpec(NamedTuple):
    """A row of the task catalogue.

    Args:
        name: What a study calls it.
        summary: One line for `jaxcirc list`.
        build: Keyword options -> task.
        tiny: Options of a small instance, for tests.
        formerly: Names that earlier study files have for it, which are still read.
    """

    name: str
    summary: str
    build: Callable[..., AbstractTask]
    tiny: Mapping[str, Any]
    formerly: tuple[str, ...] = ()
