"""A trajectory: a lazy sequence of checkpoints of one model."""

import collections
import concurrent.futures
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from jaxtyping import PyTree

from .._core import stack_trees
from ._tensors import CheckpointError


class Trajectory:
    """The checkpoints of one training run, loaded when asked for.

    Readers of different formats are functions that return one of these.

    Args:
        steps: Training steps that have a checkpoint, ascending.
        read: step -> model.
        info: Where it comes from: config, seed and the like.
        name: How messages call it.
        tokenizer: Gives the tokenizer of its text, or None; called when first asked.
    """

    def __init__(
        self,
        steps: Sequence[int],
        read: Callable[[int], PyTree],
        info: Mapping[str, Any],
        name: str,
        tokenizer: Callable[[], Any] = lambda: None,
    ):
        self.steps = tuple(steps)
        self.info = dict(info)
        self.name = name
        self._read = read
        self._tokenizer = tokenizer

    def __repr__(self) -> str:
        span = f"{self.steps[0]}..{self.steps[-1]}" if self.steps else "none"
        return f"Trajectory({self.name!r}, {len(self.steps)} steps: {span})"

    @functools.cached_property
    def tokenizer(self) -> Any:
        """The tokenizer of the text it was trained on, or None if there is none."""
        return self._tokenizer()

    def load(self, step: int) -> PyTree:
        """The model at a step.

        Raises:
            ValueError: there is no such step; the message names the nearest.
            CheckpointError: its file is damaged.
        """
        self._check((step,))
        return self._read(step)

    def stack(self, steps: Sequence[int]) -> PyTree:
        """The models at several steps as one, with a leading `checkpoint` axis."""
        self._check(steps)
        return stack_trees([self._read(step) for step in steps])

    def stream(
        self,
        steps: Sequence[int] | None = None,
        *,
        prefetch: int = 1,
        broken: Literal["raise", "give"] = "raise",
    ) -> Iterator[tuple[int, PyTree]]:
        """(step, model) pairs; the next is read while the caller works on this one.

        At most `prefetch` models are in memory besides the one handed out.

        Args:
            steps: Which; all if None.
            prefetch: Models to read ahead.
            broken: What to do where a checkpoint cannot be read: raise the error and
                end, or give it in the model's place and go on.

        Raises:
            ValueError: there is no such step.
            CheckpointError: a checkpoint is damaged or cannot be had.
        """
        steps = self.steps if steps is None else tuple(steps)
        self._check(steps)
        waiting = collections.deque(steps)
        pending: collections.deque = collections.deque()
        with concurrent.futures.ThreadPoolExecutor(max_workers=1) as reader:
            while waiting or pending:
                while waiting and len(pending) <= prefetch:
                    step = waiting.popleft()
                    pending.append((step, reader.submit(self._read, step)))
                step, future = pending.popleft()
                # Held by nobody here while the caller works on it.
                try:
                    taken = [(step, future.result())]
                except CheckpointError as error:
                    if broken == "raise":
                        raise
                    taken = [(step, error)]
                del future
                yield taken.pop()

    def _check(self, steps: Sequence[int]) -> None:
        for step in steps:
            if step not in self.steps:
                if not self.steps:
                    raise ValueError(f"{self.name} has no checkpoints.")
                near = min(self.steps, key=lambda s: abs(s - step))
                raise ValueError(
                    f"{self.name} has no checkpoint at step {step}; the nearest is "
                    f"{near}, of {len(self.steps)} from {self.steps[0]} to "
                    f"{self.steps[-1]}."
                )
