"""Greater-than: a later year of the same century (Hanna et al. 2023)."""

from typing import Any

import numpy as np

from ._encoded import encode_pairs
from ._make_task import make_task
from ._prompt import Prompt, PromptPair, fill
from ._prompt_task import PromptTask
from ._task import TaskSpec
from ._tokenizer import Tokenizer
from ._word_lists import word_list

_TEMPLATE = "The {noun} lasted from the year {first}{YY} to the year {second}"
_CENTURIES = range(11, 18)
# One reason for a year, as years are looked at before any prompt is made.
_OTHER_YEARS = "a year is not two tokens of two digits"


def two_token_years(tokenizer: Tokenizer) -> list[int]:
    """Years from 1102 to 1798 that are two tokens of two digits, without the ends.

    Of each century the first and the last of these are left out, so that every year has
    one before it and one behind it.

    Args:
        tokenizer: What cuts them.

    Returns:
        The years, ascending.
    """
    years = []
    for century in _CENTURIES:
        # From 02 to 98: 01 is what counterparts have, and 99 has nothing behind it.
        found = [
            100 * century + year
            for year in range(2, 99)
            if _halves(tokenizer, f"{century}{year:02d}")
        ]
        years += found[1:-1]
    return years


def greater_than(
    tokenizer: Any = "words",
    n_prompts: int = 1000,
    bos: str = "",
    n_ctx: int = 0,
    seed: int = 0,
    most_tokens: int = 0,
) -> PromptTask:
    """Years after a year: "The war lasted from the year 1732 to the year 17".

    Right answers are all two digits above those of the year, wrong ones the rest, the
    year's own among them: compare sums of probability (`probability_difference`). The
    counterpart begins in the year 01, after which all but two answers are possible.
    Named places are `noun`, `first` (the century), `YY` (what the answer has to exceed)
    and `second`, which is `end`.

    Args:
        tokenizer: `words`, the path of a tokenizer.json, or that of the trajectory.
        n_prompts: How many are drawn, each once.
        bos: A token before each prompt, such as `<|endoftext|>`.
        n_ctx: Longest prompt in tokens; longer ones are left out. 0 for any length.
        seed: Of nouns and years.
        most_tokens: Kinds of tokens that the model knows; 0 if the tokenizer says.

    Returns:
        The task; `dropped` counts years and prompts that this tokenizer leaves out.

    Raises:
        ValueError: the tokenizer cuts years otherwise, as those do that have a token
            for every digit or for three.

    Example:
        >>> import jax
        >>> pairs = greater_than(n_prompts=20).pairs(1, key=jax.random.key(0))
        >>> (pairs.right >= 0).sum() + (pairs.wrong >= 0).sum()
        Array(100, dtype=int32)

    Hanna, Liu & Variengien (2023), How does GPT-2 compute greater-than?,
    arXiv 2305.00586, section 2.
    """

    def draw(made: Tokenizer, rng: np.random.Generator):
        years = two_token_years(made)
        if not years:
            raise ValueError(
                "greater_than: this tokenizer cuts no year from 1102 to 1798 into two "
                f"tokens of two digits; 1745 is {len(made.encode(' 1745'))} tokens. "
                "Give another one; this task needs answers of two digits."
            )
        nouns = [word for line in word_list("nouns_of_time") for word in line]
        chosen = rng.integers([len(nouns), len(years)], size=(n_prompts, 2))
        pairs = [_pair(nouns[noun], years[year]) for noun, year in chosen]
        first = made.single_token(bos) if bos else None
        rows, dropped = encode_pairs(pairs, made, first, n_ctx)
        # Two of each century are left out by the recipe, not by the tokenizer.
        other = sum(
            not _halves(made, f"{century}{year:02d}")
            for century in _CENTURIES
            for year in range(2, 99)
        )
        if other:
            dropped[_OTHER_YEARS] = other
        return rows, dropped

    problem = "say a year of the same century after the one given"
    return make_task(
        "greater_than",
        problem,
        draw,
        _lexicon(),
        tokenizer=tokenizer,
        most_tokens=most_tokens,
        seed=seed,
    )


def _halves(tokenizer: Tokenizer, year: str) -> bool:
    """Whether a year is its century and two digits, each as a token of its own."""
    century, rest = (tokenizer.encode(part) for part in (f" {year[:2]}", year[2:]))
    whole = tokenizer.encode(f" {year}")
    return len(century) == len(rest) == 1 and whole == century + rest


def _pair(noun: str, year: int) -> PromptPair:
    century, rest = divmod(year, 100)

    def prompt(digits: int) -> Prompt:
        words = {"noun": noun, "first": str(century), "second": str(century)}
        return fill(_TEMPLATE, YY=f"{digits:02d}", **words)

    digits = [f"{i:02d}" for i in range(100)]
    answers = (tuple(digits[rest + 1 :]), tuple(digits[: rest + 1]))
    return PromptPair(prompt(rest), prompt(1), *answers)


def _lexicon() -> list[str]:
    nouns = [f" {word}" for line in word_list("nouns_of_time") for word in line]
    digits = [f"{i:02d}" for i in range(100)]
    centuries = [f" {century}" for century in _CENTURIES]
    return ["The lasted from the year to the year", *nouns, *digits, *centuries]


SPEC = TaskSpec(
    name="greater_than",
    summary="a later year of the same century, of two tokens",
    build=greater_than,
    tiny={"n_prompts": 60},
)
