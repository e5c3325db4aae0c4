"""Pair balance: opening minus closing brackets, as shares of the tokens so far."""

from typing import Any

from ._program import ProgramSpec, library, rasp


def pair_balance() -> Any:
    """The share of "(" minus the share of ")" up to each position."""
    return library().make_pair_balance(rasp().tokens, "(", ")")


def _reference(tokens: list[Any]) -> list[float]:
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
