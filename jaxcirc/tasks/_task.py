"""What every task gives, and a row of the task catalogue."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import equinox as eqx
from jaxtyping import Array, Bool, Int, Key, PyTree

Split = Literal["train", "test"]


class Batch(NamedTuple):
    """Examples on the device: what goes in, what should come out, where it counts."""

    tokens: Int[Array, "*example pos"]
    targets: Int[Array, "*example pos"]
    mask: Bool[Array, "*example pos"]


class AbstractTask(eqx.Module):
    """Data for one problem. Arrays are fields, so a task is an argument under `jit`."""

    d_vocab: eqx.AbstractVar[int]
    n_ctx: eqx.AbstractVar[int]

    @property
    def d_vocab_out(self) -> int:
        """Logits of a model that is trained on it; one for each token by default."""
        return self.d_vocab

    @property
    def n_answers(self) -> int:
        """Targets are below it, so a model needs as many logits."""
        return self.d_vocab_out

    @property
    def periods(self) -> tuple[int, ...]:
        """Lengths of the blocks that its sequences repeat, in tokens; none if none."""
        return ()

    def sample(self, n: int, *, split: Split = "train", key: Key[Array, ""]) -> Batch:
        """`n` random examples of a split, with replacement where it is finite."""
        raise NotImplementedError

    def examples(self, split: Split) -> Batch | None:
        """Every example of a split, or None where the domain has no end."""
        del split

    def corrupt(self, batch: Batch, *, key: Key[Array, ""]) -> Batch:
        """A counterpart of equal length for each example, with other right answers."""
        raise NotImplementedError

    def solution(self) -> PyTree | None:
        """A model that is known to solve the task, or None if none is known."""
        return None

    def decode(self, tokens: Int[Array, " pos"]) -> list[str]:
        """What each token looks like to a person."""
        raise NotImplementedError

    def describe(self) -> dict[str, str]:
        """A few facts about the data, for the report."""
        raise NotImplementedError


class TaskSpec(NamedTuple):
    """A row of the task catalogue.

    Args:
        name: What a study calls it.
        summary: One line for `jaxcirc list`.
        build: Keyword options -> task.
        tiny: Options of a small instance, for tests.
    """

    name: str
    summary: str
    build: Callable[..., AbstractTask]
    tiny: Mapping[str, Any]
