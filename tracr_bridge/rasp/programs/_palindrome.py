"""Palindrome: is each token what stands at its mirror position?"""

from typing import Any

import numpy as np

from ._program import ProgramSpec, library, rasp


def palindrome() -> Any:
    """Whether each token equals the one as far from the end as it is from the start.

    The answers are `True` or `False` and mirror each other; the token in the middle of
    an odd length equals itself. A sequence is a palindrome if the answer is yes at
    every position. The program reverses the sequence, for which it counts the length,
    and compares two tokens in an MLP with a hidden unit for every pair of values, so
    its width is the square of the vocabulary's.

    Returns:
        A RASP expression for `compile`; called with a list of tokens, it says what the
        interpreter says.

    Raises:
        ImportError: tracr is not installed.

    Example:
        >>> from tracr_bridge.rasp import programs
        >>> programs.palindrome()(list("abca"))
        [True, False, False, True]
    """
    language = rasp()
    backwards = library().make_reverse(language.tokens)
    same = language.SequenceMap(lambda a, b: a == b, backwards, language.tokens)
    return same.named("palindrome")


def _reference(tokens: list[Any]) -> list[bool]:
    """Whether each token equals that at its mirror position."""
    return [a == b for a, b in zip(tokens, tokens[::-1], strict=True)]


def _nearly(rng: np.random.Generator, vocab: tuple, length: int) -> list[Any]:
    """A palindrome of which some random places, possibly none, are drawn again."""
    half = [vocab[i] for i in rng.integers(0, len(vocab), (length + 1) // 2)]
    tokens = half + half[: length // 2][::-1]
    # Random sequences have hardly any place that equals its mirror.
    for place in rng.permutation(length)[: rng.integers(0, length // 2 + 1)]:
        tokens[place] = vocab[rng.integers(0, len(vocab))]
    return tokens


SPEC = ProgramSpec(
    name="palindrome",
    summary="whether each token equals that at its mirror position",
    build=palindrome,
    reference=_reference,
    vocab=tuple("abcdefghijklmnopqrstuvwxyz "),
    max_seq_len=10,
    draw=_nearly,
    kind=lambda tokens: sum(_reference(tokens)),
)
