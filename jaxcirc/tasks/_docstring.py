"""Docstrings: the next argument of a function (Heimersheim & Janiak 2023)."""

from typing import Any

import numpy as np

from ._encoded import encode_pairs, single_tokens
from ._make_task import make_task
from ._prompt import Prompt, PromptPair, fill
from ._prompt_task import PromptTask
from ._task import TaskSpec
from ._tokenizer import Tokenizer
from ._word_lists import word_list

# Two arguments before the three that are described, and one behind them.
_TEMPLATE = (
    "def {name}(self, {first}, {second}, {A_def}, {B_def}, {C_def}, {last}):\n"
    '    """{text}\n\n'
    "    :param {A_doc}: {a}\n"
    "    :param {B_doc}: {b}\n"
    "    :param"
)
_DEFINED = ("first", "second", "A_def", "B_def", "C_def", "last")
CORRUPTIONS = ("random_random", "random_def", "random_doc")


def docstring(
    tokenizer: Any = "words",
    corruption: str = "random_random",
    n_prompts: int = 1000,
    bos: str = "",
    n_ctx: int = 0,
    seed: int = 0,
    most_tokens: int = 0,
) -> PromptTask:
    """The next argument that a docstring has to describe, of a function with six.

    The prompt defines a method with arguments of random words, describes the third and
    the fourth in the style of reST, and ends after `:param`; the answer is the fifth.
    Wrong answers are the five other arguments, and those that the counterpart defines.
    Named places are `A_def`, `B_def`, `C_def` (the answer), `A_doc`, `B_doc`, `first`,
    `second`, `last`, `name`, the words of descriptions (`text`, `a`, `b`), and `end`.

    Args:
        tokenizer: `words`, the path of a tokenizer.json, or that of the trajectory.
        corruption: Which arguments of the counterpart are other words: those of the
            definition (`random_def`), those of the docstring (`random_doc`), or both,
            independently (`random_random`).
        n_prompts: How many are drawn.
        bos: A token before each prompt, such as `<|endoftext|>`.
        n_ctx: Longest prompt in tokens; longer ones are left out. 0 for any length.
        seed: Of all words.
        most_tokens: Kinds of tokens that the model knows; 0 if the tokenizer says.

    Returns:
        The task; `dropped` counts words and prompts that this tokenizer leaves out.

    Raises:
        ValueError: an option does not fit, or the tokenizer leaves too few words.

    Example:
        >>> import jax
        >>> pairs = docstring(n_prompts=20).pairs(1, key=jax.random.key(0))
        >>> bool(pairs.clean[0, pairs.positions["C_def"][0]] == pairs.right[0, 0])
        True

    Heimersheim & Janiak (2023), A circuit for Python docstrings in a 4-layer
    attention-only transformer.
    """
    if corruption not in CORRUPTIONS:
        raise ValueError(
            f"docstring: `corruption` is one of {', '.join(CORRUPTIONS)}; got "
            f"{corruption!r}."
        )

    def draw(made: Tokenizer, rng: np.random.Generator):
        (every,) = word_list("arguments")
        words, split = single_tokens(every, made)
        if len(words) < 24:
            raise ValueError(
                "docstring: a prompt and its counterpart take 24 words of one token "
                f"each; this tokenizer splits {len(split)} of {len(every)}. Give one "
                "that has words as tokens, such as that of the model."
            )
        pairs = [_drawn(rng, words, corruption) for _ in range(n_prompts)]
        first = made.single_token(bos) if bos else None
        rows, dropped = encode_pairs(pairs, made, first, n_ctx)
        if split:
            dropped["an argument is not a single token"] = len(split)
        return rows, dropped

    return make_task(
        "docstring",
        "say the argument of a function that its docstring describes next",
        draw,
        _lexicon(),
        tokenizer=tokenizer,
        most_tokens=most_tokens,
        seed=seed,
    )


def _drawn(rng: np.random.Generator, words: list[str], corruption: str) -> PromptPair:
    """A random function; all words of both prompts are different ones."""
    drawn = [words[i] for i in rng.choice(len(words), 18, replace=False)]
    defined, others, documented = drawn[:6], drawn[6:12], drawn[12:14]
    name, *texts = drawn[14:]
    rest = {"name": name, **dict(zip(("text", "a", "b"), texts, strict=True))}

    def prompt(arguments: list[str], described: list[str]) -> Prompt:
        slots = dict(zip(_DEFINED, arguments, strict=True))
        slots |= dict(zip(("A_doc", "B_doc"), described, strict=True))
        return fill(_TEMPLATE, **slots, **rest)

    shown = defined[2:4]
    corrupted = prompt(
        defined if corruption == "random_doc" else others,
        shown if corruption == "random_def" else documented,
    )
    answer = defined[4]
    wrong = [word for word in defined if word != answer]
    # What follows the counterpart: its own fifth argument stands first.
    foreign = [] if corruption == "random_doc" else [others[4], *others[:4], others[5]]
    return PromptPair(
        prompt(defined, shown),
        corrupted,
        (f" {answer}",),
        tuple(f" {word}" for word in (*foreign, *wrong)),
    )


def _lexicon() -> list[str]:
    (words,) = word_list("arguments")
    slots = (*_DEFINED, "name", "A_doc", "B_doc", "text", "a", "b")
    plain = fill(_TEMPLATE, **dict.fromkeys(slots, words[0])).text
    # The name stands behind a blank and the description's first word behind quotes.
    return [plain, *(f" {word}" for word in words), *words]


SPEC = TaskSpec(
    name="docstring",
    summary="the argument of a function that its docstring describes next",
    build=docstring,
    tiny={"n_prompts": 60},
)
