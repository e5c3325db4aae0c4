"""Histogram: how often each token occurs."""

from typing import Any

from ._program import ProgramSpec, library


def histogram() -> Any:
    """How many tokens equal the one at each position: from 1 to the length.

    A head attends to all positions with the same token, and an MLP reads off how many
    there are (Weiss et al. 2021). The answers follow the tokens when these
    are put into another order. Compiled, it is one layer with one head.

    Returns:
        A RASP expression for `compile`; called with a list of tokens, it says what the
        interpreter says.

    Raises:
        ImportError: tracr is not installed.

    Example:
        >>> from tracr_bridge.rasp import programs
        >>> programs.histogram()(list("abca"))
        [2, 1, 1, 2]
    """
    return library().make_hist()


def _reference(tokens: list[Any]) -> list[int]:
    """How often the token at each position occurs."""
    return [tokens.count(token) for token in tokens]


SPEC = ProgramSpec(
    name="histogram",
    summary="how often the token at each position occurs",
    build=histogram,
    reference=_reference,
    vocab=("a", "b", "c", "d", "e"),
    max_seq_len=10,
    kind=lambda tokens: max(_reference(tokens)),
)
