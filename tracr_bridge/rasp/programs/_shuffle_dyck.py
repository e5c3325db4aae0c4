"""Shuffle-Dyck: are brackets of each kind balanced, whatever the others do?"""

from typing import Any

import numpy as np

from ._program import ProgramSpec, library


def shuffle_dyck() -> Any:
    """Whether "(" and ")" are balanced, as `True` or `False` at every position.

    They are if no bracket closes before one has opened, and as many close as open.
    Heads average openings and closings up to each position; one more finds whether
    their difference was ever negative, and another reads it at the end (Weiss et al.
    2021). All positions have the same answer. No sequence of odd length is balanced.

    Returns:
        A RASP expression for `compile`; called with a list of tokens, it says what the
        interpreter says. Compiled, it has 6 layers with 2 heads.

    Raises:
        ImportError: tracr is not installed.

    Example:
        >>> from tracr_bridge.rasp import programs
        >>> programs.shuffle_dyck()(list("(())")), programs.shuffle_dyck()(list(")("))
        ([True, True, True, True], [False, False])
    """
    return library().make_shuffle_dyck(["()"])


def shuffle_dyck_2() -> Any:
    """Whether "()" and "{}" are each balanced, as `True` or `False` at every position.

    Each kind of bracket is looked at by itself, as in `shuffle_dyck`, so brackets of
    two kinds may cross: the language is a shuffle of two Dyck languages, which is less
    than correct nesting (Weiss et al. 2021). All positions have the same answer.

    Returns:
        A RASP expression for `compile`; called with a list of tokens, it says what the
        interpreter says. Compiled, it has 8 layers with 4 heads.

    Raises:
        ImportError: tracr is not installed.

    Example:
        The brackets cross, and each kind is balanced by itself.

        >>> from tracr_bridge.rasp import programs
        >>> programs.shuffle_dyck_2()(list("({)}"))
        [True, True, True, True]
    """
    return library().make_shuffle_dyck2()


def _balanced(tokens: list[Any], pairs: tuple[str, ...]) -> bool:
    """Whether brackets of every kind are balanced, each kind without the others."""
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
    """Interleaved balanced brackets half of the time, else random ones."""
    # Random brackets of this length are balanced in a few cases of a hundred.
    if rng.uniform() < 0.5:
        return [vocab[i] for i in rng.integers(0, len(vocab), length)]
    tokens: list[Any] = []
    for _ in range(length // 2):
        kind = 2 * int(rng.integers(0, len(vocab) // 2))
        # Anywhere, so that kinds cross; the opening one goes in second, before the
        # other.
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
