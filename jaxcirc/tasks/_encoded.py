"""Prompts as tokens; those that a tokenizer splits otherwise are counted and left out.

Whoever assumes that a name is one token, or that both prompts have the same length,
patches a name with half of another. So nothing is assumed here: each prompt is looked
at in the tokens of the model at hand, and what does not fit is left out by a reason.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ._prompt import Prompt, PromptPair
from ._tokenizer import Tokenizer


class Encoded(NamedTuple):
    """A pair of prompts in tokens.

    Args:
        clean: Ids of the clean prompt.
        corrupted: Ids of its counterpart, as many.
        right: Ids of right answers.
        wrong: Ids of wrong ones, none of which is right.
        places: Name -> position of the last token of that word.
    """

    clean: list[int]
    corrupted: list[int]
    right: list[int]
    wrong: list[int]
    places: dict[str, int]


# Why a pair is left out, in the order in which it is asked.
ANSWER_SPLIT = "an answer is not a single token"
ANSWERS_SAME = "a right and a wrong answer are the same token"
MERGED = "a named word shares a token with what follows"
LENGTHS = "clean and corrupted prompt differ in length"
PLACES = "named words are at other places in the corrupted prompt"
TOO_LONG = "longer than `n_ctx`"
SAME = "clean and corrupted prompt are the same"


def single_tokens(
    words: Iterable[str], tokenizer: Tokenizer
) -> tuple[list[str], list[str]]:
    """Words that are one token with a blank before them, and those that are not.

    Args:
        words: Words without a blank.
        tokenizer: What cuts them.

    Returns:
        Two lists, in the order given.
    """
    kept, split = [], []
    for word in words:
        (kept if _single(" " + word, tokenizer) is not None else split).append(word)
    return kept, split


def encode_pairs(
    pairs: Sequence[PromptPair], tokenizer: Tokenizer, bos: int | None, n_ctx: int
) -> tuple[list[Encoded], Counter[str]]:
    """The pairs in tokens, and how many were left out for which reason.

    Args:
        pairs: Prompts as text.
        tokenizer: What cuts them.
        bos: Id that stands before every prompt, or None.
        n_ctx: Longest prompt in tokens; 0 for any.

    Returns:
        The pairs that fit, and reason -> number of those that do not.
    """
    kept, dropped = [], Counter()
    for pair in pairs:
        found = encode_pair(pair, tokenizer, bos, n_ctx)
        if isinstance(found, str):
            dropped[found] += 1
        else:
            kept.append(found)
    return kept, dropped


def encode_pair(
    pair: PromptPair, tokenizer: Tokenizer, bos: int | None, n_ctx: int
) -> Encoded | str:
    """One pair in tokens, or the reason why it has to be left out.

    Args:
        pair: Prompts as text.
        tokenizer: What cuts them.
        bos: Id that stands before every prompt, or None.
        n_ctx: Longest prompt in tokens; 0 for any.
    """
    right, wrong = (
        [_single(word, tokenizer) for word in words]
        for words in (pair.right, pair.wrong)
    )
    if None in right or None in wrong:
        return ANSWER_SPLIT
    if set(right) & set(wrong):
        return ANSWERS_SAME
    first = [] if bos is None else [bos]
    clean, corrupted = (
        first + tokenizer.encode(prompt.text) for prompt in (pair.clean, pair.corrupted)
    )
    places = _places(pair.clean, clean, first, tokenizer)
    others = _places(pair.corrupted, corrupted, first, tokenizer)
    if places is None or others is None:
        return MERGED
    if len(clean) != len(corrupted):
        return LENGTHS
    if places != others:
        return PLACES
    if clean == corrupted:
        return SAME
    if n_ctx and len(clean) > n_ctx:
        return TOO_LONG
    known = lambda answers: [token for token in answers if token is not None]
    places = places | {"end": len(clean) - 1}
    return Encoded(clean, corrupted, known(right), known(wrong), places)


def _places(
    prompt: Prompt, ids: list[int], first: list[int], tokenizer: Tokenizer
) -> dict[str, int] | None:
    """Where each named word ends; None if a token reaches beyond the end of one."""
    places = {}
    for name, end in prompt.ends.items():
        before = first + tokenizer.encode(prompt.text[:end])
        if ids[: len(before)] != before:
            return None
        places[name] = len(before) - 1
    return places


def _single(text: str, tokenizer: Tokenizer) -> int | None:
    ids = tokenizer.encode(text)
    return ids[0] if len(ids) == 1 else None
