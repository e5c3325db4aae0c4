"""Lists of words that tasks draw from, one fact a line in `words/`."""

import functools
import pathlib

_FOLDER = pathlib.Path(__file__).parent / "words"


@functools.cache
def word_list(name: str) -> tuple[tuple[str, ...], ...]:
    """The words of each line of a list.

    Args:
        name: A file of `words/`, without its ending.

    Returns:
        A tuple for each line.
    """
    lines = (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(tuple(line.split()) for line in lines)


def first_names() -> dict[str, str]:
    """Name -> the pronoun that is mostly used for who bears it, `he` or `she`."""
    return {name: words[0] for words in word_list("names") for name in words[1:]}
