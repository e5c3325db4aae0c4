"""Facts: capitals of countries, and countries of capitals."""

import itertools
from typing import Any, Literal

import numpy as np

from ._encoded import encode_pairs
from ._make_task import make_task
from ._prompt import PromptPair, fill
from ._prompt_task import PromptTask
from ._task import TaskSpec
from ._tokenizer import Tokenizer
from ._word_lists import word_list

_TEMPLATES = {
    "capital": (
        "The government of {country} sits in its capital,",
        "If you fly to the capital of {country}, you land in",
        "Question: which city is the capital of {country}? Answer:",
    ),
    "country": (
        "The city of {country} is the capital of",
        "If you fly to {country}, you land in the capital of",
        "Question: which country has {country} as its capital? Answer:",
    ),
}


def country_capital(
    tokenizer: Any = "words",
    ask: Literal["capital", "country"] = "capital",
    n_prompts: int = 1000,
    bos: str = "",
    n_ctx: int = 0,
    seed: int = 0,
    most_tokens: int = 0,
) -> PromptTask:
    """The capital of a country: "The government of France sits in its capital,".

    The counterpart has another country, so the wrong answer is its capital. Only
    answers of one token count, and only names of the same number of tokens are put in
    each other's place; the rest is left out and counted. Named places are `country`
    (the last token of what is asked about, be it a city) and `end`.

    Args:
        tokenizer: `words`, the path of a tokenizer.json, or that of the trajectory.
        ask: For the `capital` of a country, or the `country` of a capital.
        n_prompts: At most so many, drawn from all sentences about all countries.
        bos: A token before each prompt, such as `<|endoftext|>`.
        n_ctx: Longest prompt in tokens; longer ones are left out. 0 for any length.
        seed: Of the order, and of which country stands in the place of which.
        most_tokens: Kinds of tokens that the model knows; 0 if the tokenizer says.

    Returns:
        The task; `dropped` counts prompts that this tokenizer leaves out.

    Raises:
        ValueError: an option does not fit, or too few prompts are left.

    Example:
        >>> task = country_capital()
        >>> len(task.examples("train").tokens) + len(task.examples("test").tokens) > 200
        True
    """
    if ask not in _TEMPLATES:
        raise ValueError(
            f"country_capital: `ask` is `capital` or `country`; got {ask!r}."
        )

    def draw(made: Tokenizer, rng: np.random.Generator):
        facts = _facts(ask)
        every = [*itertools.product(_TEMPLATES[ask], range(len(facts)))]
        chosen = rng.permutation(len(every))[:n_prompts]
        pairs = [_pair(every[i], facts, made, rng) for i in chosen]
        first = made.single_token(bos) if bos else None
        return encode_pairs(pairs, made, first, n_ctx)

    return make_task(
        "country_capital",
        f"say the {ask} that belongs to a {'city' if ask == 'country' else 'country'}",
        draw,
        _lexicon(),
        tokenizer=tokenizer,
        most_tokens=most_tokens,
        seed=seed,
    )


def _facts(ask: str) -> list[tuple[str, str]]:
    """What is asked about, and the answer."""
    facts = [(line[0], " ".join(line[1:])) for line in word_list("capitals")]
    return facts if ask == "capital" else [(city, country) for country, city in facts]


def _pair(sentence, facts, tokenizer: Tokenizer, rng) -> PromptPair:
    """A sentence about one country, and about another of as many tokens if any."""
    template, i = sentence
    about, answer = facts[i]
    size = lambda text: len(tokenizer.encode(f" {text}"))
    # Another answer of one token, too: the more so the fewer rows are lost.
    alike = [
        j
        for j, (other, its) in enumerate(facts)
        if j != i and size(other) == size(about) and size(its) == 1
    ]
    j = alike[rng.integers(len(alike))] if alike else (i + 1) % len(facts)
    return PromptPair(
        fill(template, country=about),
        fill(template, country=facts[j][0]),
        (f" {answer}",),
        (f" {facts[j][1]}",),
    )


def _lexicon() -> list[str]:
    plain = [
        fill(template, country="Italy").text
        for templates in _TEMPLATES.values()
        for template in templates
    ]
    return [*plain, *(f" {text}" for fact in _facts("capital") for text in fact)]


SPEC = TaskSpec(
    name="country_capital",
    summary="capitals of countries, or countries of capitals",
    build=country_capital,
    tiny={"n_prompts": 60},
)
