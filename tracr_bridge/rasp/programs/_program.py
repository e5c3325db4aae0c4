"""A row of the catalogue of programs."""

import importlib
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from ._sequences import Draw, sequences, uniform


class ProgramSpec(NamedTuple):
    """A row of the catalogue: a RASP program, with what is known of it.

    Args:
        name: What the program is called in studies and in `compile_named`.
        summary: One line, which `jaxcirc list` shows.
        build: () -> RASP expression; needs tracr.
        reference: The same in plain Python: a sequence without BOS -> one answer per
            token, None where the program says nothing. Tasks take their answers from
            it, so that they need no tracr.
        vocab: The values that tokens have, BOS and PAD left out.
        max_seq_len: Number of tokens of the longest sequence, BOS left out.
        causal: Whether the program is compiled with causal attention.
        valid: Which sequences the program is right for; None for all.
        draw: (rng, vocab, length) -> a random sequence to learn from.
        kind: Sequence -> a value over which data are balanced; None where random
            sequences have every kind of answer.

    Example:
        >>> from tracr_bridge.rasp.programs import PROGRAMS
        >>> row = next(row for row in PROGRAMS if row.name == "sort")
        >>> row.reference([3, 1, 2]), row.max_seq_len
        ([1, 2, 3], 8)
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
        """Distinct sequences of the full length, at most `n`, edge cases among them.

        These are all that there are, if they are at most `n`. Otherwise constant,
        alternating and ordered sequences and random ones are mixed so that every value
        of `kind` is as frequent as any other, as far as enough of them are found.

        Args:
            n: How many sequences, at most.
            seed: Decides which sequences are drawn, and their order.
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
    """Tracr's module of the language.

    Raises:
        ImportError: tracr is not installed.
    """
    return _load("tracr.rasp.rasp")


def library() -> Any:
    """Tracr's module of its own programs.

    Raises:
        ImportError: tracr is not installed.
    """
    return _load("tracr.compiler.lib")


def _load(name: str) -> Any:
    try:
        # Loaded here and not above, so that rows and tasks are there without tracr.
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            "Programs are written in tracr's RASP: pip install 'jaxcirc[tracr]'."
        ) from error
