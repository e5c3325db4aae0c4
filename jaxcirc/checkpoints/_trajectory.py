"""A trajectory: a lazy sequence of checkpoints of one model."""

import collections
import concurrent.futures
import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

from jaxtyping import PyTree

from .._core import digest_of, stack_trees
from ._tensors import CheckpointError, tensor_hashes


class Trajectory:
    """The checkpoints of one training run, loaded when asked for.

    Readers of different formats are functions that return one of these.

    Args:
        steps: Training steps that have a checkpoint, ascending.
        read: step -> model.
        info: Where the run comes from: config, seed and the like.
        name: How messages call the run.
        tokenizer: () -> the tokenizer of its text, or None; called when first asked.
        fingerprint: step -> a short name for the contents of its files, without reading
            them as a model; that of the weights themselves if None.
        stamp: step -> a name that changes with its files, such as their sizes and
            times, and costs nothing to find; none if None.

    Example:
        >>> from jaxcirc.checkpoints import Trajectory
        >>> run = Trajectory([0, 100], lambda step: {"w": float(step)}, {}, "made up")
        >>> [model["w"] for _, model in run.stream()]
        [0.0, 100.0]
    """

    def __init__(
        self,
        steps: Sequence[int],
        read: Callable[[int], PyTree],
        info: Mapping[str, Any],
        name: str,
        tokenizer: Callable[[], Any] = lambda: None,
        fingerprint: Callable[[int], str] | None = None,
        stamp: Callable[[int], str] | None = None,
    ):
        self.steps = tuple(steps)
        self.info = dict(info)
        self.name = name
        self._read = read
        self._tokenizer = tokenizer
        self._fingerprint = fingerprint
        self._stamp = stamp

    def __repr__(self) -> str:
        span = f"{self.steps[0]}..{self.steps[-1]}" if self.steps else "none"
        return f"Trajectory({self.name!r}, {len(self.steps)} steps: {span})"

    @functools.cached_property
    def tokenizer(self) -> Any:
        """The tokenizer of the text it was trained on, or None if there is none."""
        return self._tokenizer()

    def load(self, step: int) -> PyTree:
        """The model at a step.

        Args:
            step: One of `steps`.

        Raises:
            ValueError: there is no such step; the message names the nearest.
            CheckpointError: its file is damaged.
        """
        self._check((step,))
        return self._read(step)

    def fingerprint(self, step: int) -> str:
        """A short name for what the checkpoint holds: equal names, equal weights.

        It tells whether a number that was measured of a checkpoint is still its own.

        Args:
            step: One of `steps`.

        Raises:
            ValueError: there is no such step.
            CheckpointError: its file is missing or cannot be read.
        """
        self._check((step,))
        if self._fingerprint is not None:
            return self._fingerprint(step)
        return digest_of(tensor_hashes(self._read(step)))

    def stamp(self, step: int) -> str | None:
        """A name that changes when the files of a checkpoint are written again.

        None where the fingerprint is as cheap. The same stamp means the same
        fingerprint; another one, that the fingerprint has to be found again.

        Args:
            step: One of `steps`.

        Raises:
            ValueError: there is no such step.
        """
        self._check((step,))
        return None if self._stamp is None else self._stamp(step)

    def only(self, steps: Collection[int]) -> "Trajectory":
        """The same run with some of its steps.

        Args:
            steps: Some of `steps`, in any order.

        Raises:
            ValueError: there is no such step.

        Example:
            >>> from jaxcirc.checkpoints import Trajectory
            >>> run = Trajectory([0, 10, 20], float, {}, "made up")
            >>> run.only([20, 0]).steps
            (0, 20)
        """
        self._check(tuple(steps))
        return Trajectory(
            sorted(steps),
            self._read,
            self.info,
            self.name,
            self._tokenizer,
            self._fingerprint,
            self._stamp,
        )

    def stack(self, steps: Sequence[int]) -> PyTree:
        """The models at several steps as one, with a leading `checkpoint` axis.

        Args:
            steps: Some of `steps`, in the order of the axis.

        Raises:
            ValueError: there is no such step.
            CheckpointError: a checkpoint is damaged or cannot be had.
        """
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
                # One reader, so that what is read ahead is bounded and in order.
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
        """Refuse steps that have no checkpoint.

        Raises:
            ValueError: one has none; the message names the nearest.
        """
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
