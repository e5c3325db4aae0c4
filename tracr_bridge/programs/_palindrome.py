"""Palindrome: is each token what stands at its mirror position?"""

from typing import Any

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


SPEC = ProgramSpec(
    name="palindrome",
    summary="whether each token equals that at its mirror position",
    build=palindrome,
    reference=_reference,
    vocab=tuple("abcdefghijklmnopqrstuvwxyz "),
    max_seq_len=10,
)
