"""Length: how many tokens there are."""

from typing import Any

from ._program import ProgramSpec, library


def length() -> Any:
    """The number of tokens, at every position; BOS is not counted.

    A head attends everywhere, and an MLP reads off how many positions that is, up to
    the length that the program was compiled for. The answer says nothing of what the
    tokens are. As a task it would have a single answer, since a task's sequences all
    have one length, so there is no task of this program.

    Returns:
        A RASP expression for `compile`; called with a list of tokens, it says what the
        interpreter says.

    Raises:
        ImportError: tracr is not installed.

    Example:
        >>> from tracr_bridge.rasp import programs
        >>> programs.length()(list("abb"))
        [3, 3, 3]
    """
    return library().make_length()


def _reference(tokens: list[Any]) -> list[int]:
    """The number of tokens, once for every position."""
    return [len(tokens)] * len(tokens)


SPEC = ProgramSpec(
    name="length",
    summary="how many tokens there are",
    build=length,
    reference=_reference,
    vocab=("a", "b"),
    max_seq_len=8,
)
