"""Fraction of previous tokens that are an "x"."""

from typing import Any

import numpy as np

from ._program import ProgramSpec, library, rasp


def fraction_of_previous(token: str = "x") -> Any:
    """The share of tokens up to each position, itself included, that are `token`.

    The answer is a number in [0, 1], a multiple of 1 / (position + 1), so the compiled
    model has one numerical output. A head attends evenly to all positions up to its own
    and averages an indicator of the token. Nothing is read from later positions, so the
    program is the same under causal attention. Its largest error grows with
    length: 1e-6 at 10 tokens and 1e-3 at 50.

    Args:
        token: What is counted.

    Returns:
        A RASP expression for `compile`; called with a list of tokens, it says what the
        interpreter says.

    Raises:
        ImportError: tracr is not installed.

    Example:
        >>> from tracr_bridge.rasp import programs
        >>> programs.fraction_of_previous()(list("xaxa"))
        [1, 0.5, 0.6666666666666666, 0.5]
    """
    language = rasp()
    # Only numerical values are averaged by a head; categories would be looked up.
    is_token = language.numerical(
        language.Map(lambda t: 1 if t == token else 0, language.tokens)
    ).named(f"is_{token}")
    return library().make_frac_prevs(is_token)


def _reference(tokens: list[Any]) -> list[float]:
    """The share of "x" among the tokens up to each position."""
    return [tokens[: i + 1].count("x") / (i + 1) for i in range(len(tokens))]


def _with_some(rng: np.random.Generator, vocab: tuple, length: int) -> list[Any]:
    """Random letters, of which each is an "x" at a rate that the sequence has drawn."""
    # At one rate for all, shares would be near it at every late position.
    rate = rng.uniform()
    others = [vocab[i] for i in rng.integers(1, len(vocab), length)]
    return [vocab[0] if rng.uniform() < rate else other for other in others]


def _row(name: str, letters: str, max_seq_len: int) -> ProgramSpec:
    """A row of the catalogue, for tokens "x" and `letters`."""
    return ProgramSpec(
        name=name,
        summary=f"share of x among tokens so far, {len(letters) + 1} symbols, length "
        f"{max_seq_len}",
        build=fraction_of_previous,
        reference=_reference,
        vocab=("x", *letters),
        max_seq_len=max_seq_len,
        draw=_with_some,
        kind=lambda tokens: tokens.count("x"),
    )


SMALL = _row("fraction_of_previous", "abcde", 10)
MEDIUM = _row("fraction_of_previous_medium", "abcdefghijklm", 10)
LARGE = _row("fraction_of_previous_large", "abcdefghijklmnopqrstuvwyz", 10)
SMALL_LONG = _row("fraction_of_previous_small_50", "abcde", 50)
MEDIUM_LONG = _row("fraction_of_previous_medium_50", "abcdefghijklm", 50)
LARGE_LONG = _row("fraction_of_previous_large_50", "abcdefghijklmnopqrstuvwyz", 50)
