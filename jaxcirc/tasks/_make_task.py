"""How a task of prompts is made: a tokenizer, what is drawn, and two splits of it."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ._encoded import Encoded
from ._prompt_task import PromptTask, why_dropped
from ._tokenizer import Tokenizer, find_tokenizer
from ._words import WordTokenizer

# Tokenizer and random numbers -> prompts in tokens, and what was left out.
Draw = Callable[[Tokenizer, np.random.Generator], tuple[list[Encoded], Counter[str]]]


def make_task(
    name: str,
    problem: str,
    draw: Draw,
    lexicon: Iterable[str],
    *,
    tokenizer: Any,
    most_tokens: int = 0,
    seed: int = 0,
    test_fraction: float = 0.2,
) -> PromptTask:
    """A task of what `draw` gives, each prompt once, cut at random in two splits.

    Args:
        name: What a study calls the task.
        problem: What is asked.
        draw: Tokenizer and random numbers -> prompts in tokens, and what was left out.
        lexicon: Texts with all words, for the tokenizer `words`.
        tokenizer: `words`, the path of a tokenizer.json, or a tokenizer.
        most_tokens: Kinds of tokens that the model knows; 0 if the tokenizer says.
        seed: Of everything that is drawn.
        test_fraction: Share of the prompts that is not for training.

    Raises:
        ValueError: there is no such tokenizer, or too few prompts are left.
    """
    made = named_tokenizer(name, tokenizer, lexicon)
    rng = np.random.default_rng([seed, *name.encode()])
    drawn, dropped = draw(made, rng)
    rows = distinct(drawn)
    n_test = max(1, int(len(rows) * test_fraction))
    if len(rows) < 2:
        raise ValueError(
            f"{name}: {len(rows)} of the prompts fit this tokenizer. "
            + why_dropped(dropped)
        )
    order = rng.permutation(len(rows))
    mixed = [rows[i] for i in order]
    size = vocabulary(mixed, made, most_tokens)
    return PromptTask(
        name, problem, mixed[n_test:], mixed[:n_test], made, size, dropped
    )


def named_tokenizer(name: str, given: Any, lexicon: Iterable[str]) -> Tokenizer:
    """The tokenizer that a study means; `words` is one of the task's own lexicon.

    Args:
        name: Of the task, for the message.
        given: `words`, the path of a tokenizer.json, or a tokenizer.
        lexicon: Texts with all words of the task.

    Raises:
        ValueError: there is none, or no such one.
    """
    if given is None:
        raise ValueError(
            f"{name}: this trajectory brings no tokenizer along; give `tokenizer`, the "
            "path of a tokenizer.json."
        )
    return WordTokenizer(lexicon) if given == "words" else find_tokenizer(given)


def vocabulary(rows: Sequence[Encoded], tokenizer: Tokenizer, most_tokens: int) -> int:
    """How many kinds of tokens a model needs.

    Args:
        rows: Prompts in tokens.
        tokenizer: What they are of.
        most_tokens: Kinds of tokens that the model knows; 0 if the tokenizer says.
    """
    size = min(tokenizer.size, most_tokens) if most_tokens else tokenizer.size
    return max(size, 1 + max(max(max(ids) for ids in row[:4]) for row in rows))


def distinct(rows: Iterable[Encoded]) -> list[Encoded]:
    """The first of all rows with the same clean prompt, in their order."""
    # The table is looked up by clean prompts, so each may have one counterpart only.
    return list({tuple(row.clean): row for row in reversed([*rows])}.values())[::-1]
