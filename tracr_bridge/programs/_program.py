"""A row of the catalogue of programs."""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple


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
    """

    name: str
    summary: str
    build: Callable[[], Any]
    reference: Callable[[list[Any]], list[Any]]
    vocab: tuple[Any, ...]
    max_seq_len: int
    causal: bool = False
    valid: Callable[[list[Any]], bool] | None = None


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
