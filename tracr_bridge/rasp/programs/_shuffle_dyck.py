"""Shuffle-Dyck: are brackets of each kind balanced, whatever the others do?"""

from typing import Any

import numpy as np

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


def _maybe_balanced(rng: np.random.Generator, vocab: tuple, length: int) -> list[Any]:
    """Half of the time balanced brackets, interleaved; else any."""
    if rng.uniform() < 0.5:
        return [vocab[i] for i in rng.integers(0, len(vocab), length)]
    tokens: list[Any] = []
    for _ in range(length // 2):
        kind = 2 * int(rng.integers(0, len(vocab) // 2))
        first, second = sorted(rng.integers(0, len(tokens) + 1, 2))
        tokens.insert(second, vocab[kind + 1])
        tokens.insert(first, vocab[kind])
    return tokens + [vocab[0]] * (length % 2)


SPEC = ProgramSpec(
    name="shuffle_dyck",
    summary="whether round brackets are balanced",
    build=shuffle_dyck,
    reference=lambda tokens: [_balanced(tokens, ("()",))] * len(tokens),
    vocab=("(", ")"),
    max_seq_len=6,
    draw=_maybe_balanced,
    kind=lambda tokens: _balanced(tokens, ("()",)),
)
TWO = ProgramSpec(
    name="shuffle_dyck_2",
    summary="whether round and curly brackets are each balanced",
    build=shuffle_dyck_2,
    reference=lambda tokens: [_balanced(tokens, ("()", "{}"))] * len(tokens),
    vocab=("(", ")", "{", "}"),
    max_seq_len=6,
    draw=_maybe_balanced,
    kind=lambda tokens: _balanced(tokens, ("()", "{}")),
)
