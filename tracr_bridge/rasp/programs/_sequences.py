"""Sequences to learn a program from: edge cases, and every kind of answer."""

import itertools
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import numpy as np

Tokens = list[Any]
Draw = Callable[[np.random.Generator, tuple[Any, ...], int], Tokens]

# Draws per sequence wanted, before the rarest kinds are taken as they are.
TRIES = 8


def uniform(rng: np.random.Generator, vocab: tuple[Any, ...], length: int) -> Tokens:
    """A sequence in which every token is equally likely at every position."""
    return [vocab[i] for i in rng.integers(0, len(vocab), length)]


def edge_cases(vocab: tuple[Any, ...], length: int) -> Iterator[Tokens]:
    """Constant, alternating, rising and falling sequences."""
    for value in vocab:
        yield [value] * length
    # Of a large vocabulary, pairs alone would be more than is asked for.
    for pair in itertools.permutations(vocab[:8], 2):
        yield [pair[i % 2] for i in range(length)]
    rising = [vocab[i * len(vocab) // length] for i in range(length)]
    yield rising
    yield rising[::-1]


def sequences(
    vocab: tuple[Any, ...],
    length: int,
    n: int,
    *,
    draw: Draw = uniform,
    kind: Callable[[Tokens], Hashable] | None = None,
    valid: Callable[[Tokens], bool] | None = None,
    seed: int = 0,
) -> list[Tokens]:
    """Distinct sequences of one length, in random order.

    These are all that there are, if they are at most `n`. Otherwise they are edge cases
    and random ones, as many of every kind as of any other, as far as `TRIES * n` draws
    find enough of the rare kinds. Fewer than `n` come back where too few distinct ones
    were found.

    Args:
        vocab: The values that tokens have.
        length: Number of tokens of every sequence.
        n: How many sequences, at most.
        draw: (rng, vocab, length) -> a random sequence.
        kind: Sequence -> a value over which sequences are balanced; None for no
            balance.
        valid: Which sequences are wanted; None for all.
        seed: Decides everything random.
    """
    rng = np.random.default_rng(seed)
    if len(vocab) ** length <= n:
        found = {t: None for t in itertools.product(vocab, repeat=length)}
    else:
        proposals = itertools.chain(
            edge_cases(vocab, length),
            (draw(rng, vocab, length) for _ in range(TRIES * n)),
        )
        # A dictionary keeps the order of proposals, which a set would not.
        found = {tuple(s): None for s in proposals}
    usable = [list(t) for t in found if valid is None or valid(list(t))]
    kept = _balanced(usable, n, kind) if len(usable) > n else usable
    return [kept[i] for i in rng.permutation(len(kept))]


def _balanced(
    usable: list[Tokens], n: int, kind: Callable[[Tokens], Hashable] | None
) -> list[Tokens]:
    """Sequences of every kind in turn, one of each, until there are `n`."""
    if kind is None:
        return usable[:n]
    groups: dict[Hashable, list[Tokens]] = {}
    for tokens in usable:
        groups.setdefault(kind(tokens), []).append(tokens)
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*groups.values()))
    return list(itertools.islice((s for s in in_turn if s is not None), n))
