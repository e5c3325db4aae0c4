"""Pronouns that go with a name: he or she (Mathwin et al. 2023)."""

from typing import Any

import numpy as np

from ._encoded import encode_pairs, single_tokens
from ._make_task import make_task
from ._prompt import PromptPair, fill
from ._prompt_task import PromptTask
from ._task import TaskSpec
from ._tokenizer import Tokenizer
from ._word_lists import first_names, word_list

_TEMPLATES = (
    "It turns out that {name} is a very patient {noun}, isn't",
    "Everybody agrees that {name} was a fine {noun}, wasn't",
    "As far as we know, {name} has become a {noun}, hasn't",
    "We always thought that {name} could be a good {noun}, couldn't",
    "By next year, {name} will be our best {noun}, won't",
    "For a beginner, {name} makes a rather brave {noun}, doesn't",
)
(_NOUNS,) = word_list("occupations")


def gender_pronoun(
    tokenizer: Any = "words",
    n_prompts: int = 1000,
    bos: str = "",
    n_ctx: int = 0,
    seed: int = 0,
    most_tokens: int = 0,
) -> PromptTask:
    """He or she, by the name: "It turns out that Paul is a patient cook, isn't".

    The counterpart has a name that mostly goes with the other pronoun; answers are
    ` he` and ` she`. Names are those that are one token of the given tokenizer. Named
    places are `name`, `noun` and `end`. What is tested is a habit of text, not who
    anyone is: some bearers of each name use the other pronoun.

    Args:
        tokenizer: `words`, the path of a tokenizer.json, or that of the trajectory.
        n_prompts: How many are drawn, each once.
        bos: A token before each prompt, such as `<|endoftext|>`.
        n_ctx: Longest prompt in tokens; longer ones are left out. 0 for any length.
        seed: Of names, sentences and nouns.
        most_tokens: Kinds of tokens that the model knows; 0 if the tokenizer says.

    Returns:
        The task; `dropped` counts names and prompts that this tokenizer leaves out.

    Raises:
        ValueError: the tokenizer splits all names of one of the pronouns.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> task = gender_pronoun(n_prompts=20)
        >>> pairs = task.pairs(1, key=jax.random.key(0))
        >>> sorted(task.decode(jnp.append(pairs.right, pairs.wrong)))
        ['␣he', '␣she']

    Mathwin et al. (2023), Identifying a preliminary circuit for predicting gendered
    pronouns in GPT-2 small.
    """

    def draw(made: Tokenizer, rng: np.random.Generator):
        kept, split = single_tokens(first_names(), made)
        of = {p: [n for n in kept if first_names()[n] == p] for p in ("he", "she")}
        if not all(of.values()):
            raise ValueError(
                "gender_pronoun: there must be names of one token for both pronouns; "
                f"this tokenizer splits {len(split)} of {len(split) + len(kept)}. Give "
                "one that has names as tokens, such as that of the model."
            )
        pairs = [_drawn(rng, of) for _ in range(n_prompts)]
        first = made.single_token(bos) if bos else None
        rows, dropped = encode_pairs(pairs, made, first, n_ctx)
        if split:
            dropped["a name is not a single token"] = len(split)
        return rows, dropped

    return make_task(
        "gender_pronoun",
        "say the pronoun that mostly goes with a name",
        draw,
        _lexicon(),
        tokenizer=tokenizer,
        most_tokens=most_tokens,
        seed=seed,
    )


def _drawn(rng: np.random.Generator, of: dict[str, list[str]]) -> PromptPair:
    """A random sentence, with a name for each of the two pronouns."""
    template = _TEMPLATES[rng.integers(len(_TEMPLATES))]
    noun = _NOUNS[rng.integers(len(_NOUNS))]
    right, wrong = ("he", "she") if rng.integers(2) else ("she", "he")
    clean, corrupted = (
        fill(template, name=of[p][rng.integers(len(of[p]))], noun=noun)
        for p in (right, wrong)
    )
    return PromptPair(clean, corrupted, (f" {right}",), (f" {wrong}",))


def _lexicon() -> list[str]:
    words = (*first_names(), *_NOUNS, "he", "she")
    plain = [fill(template, name="he", noun="he").text for template in _TEMPLATES]
    return [*plain, *(f" {word}" for word in words)]


SPEC = TaskSpec(
    name="gender_pronoun",
    summary="the pronoun that mostly goes with a name, he or she",
    build=gender_pronoun,
    tiny={"n_prompts": 60},
)
