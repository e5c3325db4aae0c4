"""Prompts as text: places with a name, and a counterpart with its answers."""

import re
from typing import NamedTuple

_SLOT = re.compile(r"\{(\w+)\}")


class Prompt(NamedTuple):
    """A text, and where the words with a name end in it.

    Args:
        text: What the model reads.
        ends: Name -> number of characters up to the end of that word.
    """

    text: str
    ends: dict[str, int]


class PromptPair(NamedTuple):
    """A clean prompt and its counterpart, with the words that may follow the clean one.

    Args:
        clean: The prompt.
        corrupted: Its counterpart, with places of the same names.
        right: Right answers, each with the blank before it.
        wrong: Wrong ones.
    """

    clean: Prompt
    corrupted: Prompt
    right: tuple[str, ...]
    wrong: tuple[str, ...]


def fill(template: str, **words: str) -> Prompt:
    """A template with words for its slots; every slot is a place with a name.

    Args:
        template: Text with slots such as `{IO}`.
        **words: The word for each slot.

    Returns:
        The prompt; a slot that occurs twice has the name of its last place.

    Example:
        >>> fill("Then {IO} left", IO="Mary")
        Prompt(text='Then Mary left', ends={'IO': 9})
    """
    text, ends, at = "", {}, 0
    for slot in _SLOT.finditer(template):
        text += template[at : slot.start()] + words[slot[1]]
        ends[slot[1]] = len(text)
        at = slot.end()
    return Prompt(text + template[at:], ends)
