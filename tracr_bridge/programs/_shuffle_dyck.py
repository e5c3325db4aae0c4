"""Shuffle-Dyck: are brackets of each kind balanced, whatever the others do?"""

from typing import Any

from ._program import ProgramSpec, library


def shuffle_dyck() -> Any:
    """Whether "(" and ")" are balanced, at every position."""
    return library().make_shuffle_dyck(["()"])


def shuffle_dyck_2() -> Any:
    """Whether "()" and "{}" are each balanced, at every position."""
    return library().make_shuffle_dyck2()


def _balanced(tokens: list[Any], pairs: tuple[str, ...]) -> bool:
    for opening, closing in pairs:
        depth = 0
        for token in tokens:
            depth += (token == opening) - (token == closing)
            if depth < 0:
                return False
        if depth:
            return False
    return True


SPEC = ProgramSpec(
    name="shuffle_dyck",
    summary="whether round brackets are balanced",
    build=shuffle_dyck,
    reference=lambda tokens: [_balanced(tokens, ("()",))] * len(tokens),
    vocab=("(", ")"),
    max_seq_len=6,
)
TWO = ProgramSpec(
    name="shuffle_dyck_2",
    summary="whether round and curly brackets are each balanced",
    build=shuffle_dyck_2,
    reference=lambda tokens: [_balanced(tokens, ("()", "{}"))] * len(tokens),
    vocab=("(", ")", "{", "}"),
    max_seq_len=5,
)
