"""Reverse: the sequence backwards."""

from typing import Any

from ._program import ProgramSpec, library, rasp


def reverse() -> Any:
    """Tokens in the opposite order.

    The program counts the length with a head that attends everywhere, subtracts each
    position from it, and lets a last head fetch the token that stands there, so that it
    is exact at every length up to the one that it was compiled for. Applied twice, it
    gives the tokens back. Compiled, it has 4 layers with one head each.

    Returns:
        A RASP expression for `compile`; called with a list of tokens, it says what the
        interpreter says.

    Raises:
        ImportError: tracr is not installed.

    Example:
        >>> from tracr_bridge.rasp import programs
        >>> programs.reverse()(list("abc"))
        ['c', 'b', 'a']
    """
    return library().make_reverse(rasp().tokens)


SPEC = ProgramSpec(
    name="reverse",
    summary="tokens in the opposite order",
    build=reverse,
    reference=lambda tokens: tokens[::-1],
    vocab=("a", "b", "c", "d", "e"),
    max_seq_len=10,
)
