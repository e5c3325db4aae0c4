"""Pair balance: opening minus closing brackets, as shares of the tokens so far."""

from typing import Any

from ._program import ProgramSpec, library, rasp


def pair_balance() -> Any:
    """The share of "(" minus the share of ")" among the tokens up to each position.

    The answer is a number in [-1, 1], so the compiled model has one numerical output.
    Brackets are balanced if it is never negative and ends at zero (Weiss et al. 2021).
    Two heads average one indicator each, and the output is the difference. Only earlier
    positions are read, and the catalogue compiles the program with causal attention.

    Returns:
        A RASP expression for `compile`; called with a list of tokens, it says what the
        interpreter says.

    Raises:
        ImportError: tracr is not installed.

    Example:
        >>> from tracr_bridge.rasp import programs
        >>> programs.pair_balance()(list("(a)"))
        [1, 0.5, 0.0]
    """
    return library().make_pair_balance(rasp().tokens, "(", ")")


def _reference(tokens: list[Any]) -> list[float]:
    """Opening minus closing brackets up to each position, as a share of tokens."""

    def balance(i: int) -> float:
        before = tokens[: i + 1]
        return (before.count("(") - before.count(")")) / (i + 1)

    return [balance(i) for i in range(len(tokens))]


SPEC = ProgramSpec(
    name="pair_balance",
    summary="opening minus closing brackets so far, as shares of the tokens",
    build=pair_balance,
    reference=_reference,
    vocab=("(", ")", "a"),
    max_seq_len=10,
    causal=True,
    kind=lambda tokens: _reference(tokens)[-1],
)
