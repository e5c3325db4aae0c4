"""A row of the catalogue of programs."""

import importlib
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from ._sequences import Draw, sequences, uniform


class ProgramSpec(NamedTuple):
    """A RASP program, with what is known of it.

    Args:
        name: What it is called.
        summary: One line.
        build: () -> RASP expression; needs tracr.
        reference: The same in plain Python: a sequence without BOS -> one answer per
            token, None where the program says nothing.
        vocab: Values of tokens.
        max_seq_len: Longest sequence, BOS left out.
        causal: Whether it is meant for causal attention.
        valid: Which sequences it is for; None for all.
        draw: (rng, vocab, length) -> a random sequence to learn from.
        kind: Sequence -> what data are balanced over; None where random ones will do.
    """

    name: str
    summary: str
    build: Callable[[], Any]
    reference: Callable[[list[Any]], list[Any]]
    vocab: tuple[Any, ...]
    max_seq_len: int
    causal: bool = False
    valid: Callable[[list[Any]], bool] | None = None
    draw: Draw = uniform
    kind: Callable[[list[Any]], Hashable] | None = None

    def sequences(self, n: int, *, seed: int = 0) -> list[list[Any]]:
        """Up to `n` distinct sequences of the full length, edge cases among them.

        All there are, if they are at most `n`; otherwise balanced over `kind`.
        """
        return sequences(
            self.vocab,
            self.max_seq_len,
            n,
            draw=self.draw,
            kind=self.kind,
            valid=self.valid,
            seed=seed,
        )


def rasp() -> Any:
    """Tracr's language."""
    return _load("tracr.rasp.rasp")


def library() -> Any:
    """Tracr's own programs."""
    return _load("tracr.compiler.lib")


def _load(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            "Programs are written in tracr's RASP: pip install 'jaxcirc[tracr]'."
        ) from error
