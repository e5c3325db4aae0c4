"""Palindrome: is each token what stands at its mirror position?"""

from typing import Any

import numpy as np

from ._program import ProgramSpec, library, rasp


def palindrome() -> Any:
    """Whether each token equals the one as far from the end as it is from the start.

    A sequence is a palindrome if the answer is yes at every position.
    """
    language = rasp()
    backwards = library().make_reverse(language.tokens)
    same = language.SequenceMap(lambda a, b: a == b, backwards, language.tokens)
    return same.named("palindrome")


def _reference(tokens: list[Any]) -> list[bool]:
    return [a == b for a, b in zip(tokens, tokens[::-1], strict=True)]


def _nearly(rng: np.random.Generator, vocab: tuple, length: int) -> list[Any]:
    """A palindrome with any number of places changed, none among them."""
    half = [vocab[i] for i in rng.integers(0, len(vocab), (length + 1) // 2)]
    tokens = half + half[: length // 2][::-1]
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
