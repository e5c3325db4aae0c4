"""Agreement of subject and verb (Linzen et al. 2016; Marvin & Linzen 2018)."""

import json
import pathlib
from typing import Any

import numpy as np

from ._encoded import encode_pairs, single_tokens
from ._make_task import make_task
from ._prompt import Prompt, PromptPair, fill
from ._prompt_task import PromptTask
from ._task import TaskSpec
from ._tokenizer import Tokenizer
from ._word_lists import word_list

_TEMPLATES = {
    "simple": ("The {subject}", "Every day the {subject}", "I believe the {subject}"),
    "phrase": (
        "The {subject} near the {other}",
        "The {subject} behind the {other}",
        "The {subject} with the {other}",
    ),
    "relative": (
        "The {subject} that the {other} met",
        "The {subject} that saw the {other}",
        "The {subject} who asked the {other}",
    ),
}
_KEYS = ("clean_prefix", "patch_prefix", "clean_answer", "patch_answer")


def sva(
    tokenizer: Any = "words",
    kinds: tuple[str, ...] = ("simple", "phrase", "relative"),
    path: str = "",
    n_prompts: int = 1000,
    bos: str = "",
    n_ctx: int = 0,
    seed: int = 0,
    most_tokens: int = 0,
) -> PromptTask:
    """Verbs that agree with their subject: "The nurses near the pilot" -> "are".

    The counterpart has the subject in the other number. Right answers are all verbs
    that agree with the clean subject, wrong ones the same verbs in the other number; of
    a verb both forms must be one token. With `path`, prompts and answers are those of a
    file, one right and one wrong verb each. Named places are `subject`, `other` (a noun
    in between) and `end`; prompts of a file have `end` alone.

    Args:
        tokenizer: `words`, the path of a tokenizer.json, or that of the trajectory.
        kinds: `simple` sentences, a `phrase` or a `relative` clause behind the subject.
        path: A file with a JSON object in each line that has `clean_prefix`,
            `patch_prefix`, `clean_answer` and `patch_answer`.
        n_prompts: How many are drawn, each once; of a file the first so many.
        bos: A token before each prompt, such as `<|endoftext|>`.
        n_ctx: Longest prompt in tokens; longer ones are left out. 0 for any length.
        seed: Of nouns and sentences.
        most_tokens: Kinds of tokens that the model knows; 0 if the tokenizer says.

    Returns:
        The task; `dropped` counts verbs and prompts that this tokenizer leaves out.

    Raises:
        ValueError: an option does not fit, a file cannot be read, or too few prompts
            are left.

    Example:
        >>> import jax
        >>> task = sva(kinds=("simple",), n_prompts=30)
        >>> pairs = task.pairs(1, key=jax.random.key(0))
        >>> pairs.right.shape == pairs.wrong.shape
        True

    Marvin & Linzen (2018), Targeted syntactic evaluation of language models,
    arXiv 1808.09031; files as in Marks et al. (2024), arXiv 2403.19647.
    """
    if not kinds or not set(kinds) <= set(_TEMPLATES):
        raise ValueError(
            f"sva: `kinds` are some of {', '.join(_TEMPLATES)}; got {[*kinds]}."
        )
    texts = read_pairs(path)[:n_prompts] if path else []

    def draw(made: Tokenizer, rng: np.random.Generator):
        first = made.single_token(bos) if bos else None
        if path:
            return encode_pairs(texts, made, first, n_ctx)
        verbs, n_split = _verbs(made)
        pairs = [_drawn(rng, kinds, verbs) for _ in range(n_prompts)]
        rows, dropped = encode_pairs(pairs, made, first, n_ctx)
        if n_split:
            dropped["a verb is not a single token"] = n_split
        return rows, dropped

    return make_task(
        "sva",
        "say a verb that agrees with its subject in number",
        draw,
        _lexicon(texts),
        tokenizer=tokenizer,
        most_tokens=most_tokens,
        seed=seed,
    )


def read_pairs(path: str) -> list[PromptPair]:
    """Prompts of a file of JSON lines, in its order.

    Args:
        path: The file; each line is an object with `clean_prefix`, `patch_prefix`,
            `clean_answer` and `patch_answer`.

    Raises:
        ValueError: there is no such file, or a line is none of these.
    """
    try:
        lines = pathlib.Path(path).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"sva: {path} cannot be read: {error}") from error
    return [
        _parsed(line, f"{path}, line {i}") for i, line in enumerate(lines, 1) if line
    ]


def _parsed(line: str, where: str) -> PromptPair:
    try:
        clean, corrupted, right, wrong = (str(json.loads(line)[key]) for key in _KEYS)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"sva: {where}: not a JSON object with {', '.join(_KEYS)}."
        ) from error
    return PromptPair(Prompt(clean, {}), Prompt(corrupted, {}), (right,), (wrong,))


def _verbs(tokenizer: Tokenizer) -> tuple[list[tuple[str, ...]], int]:
    """Verbs of which both forms are one token, and the number of all others.

    Raises:
        ValueError: there is none.
    """
    every = word_list("verbs")
    verbs = [pair for pair in every if not single_tokens(pair, tokenizer)[1]]
    if not verbs:
        raise ValueError(
            f"sva: this tokenizer splits a form of each of {len(every)} verbs. Give "
            "one that has verbs as tokens, such as that of the model."
        )
    return verbs, len(every) - len(verbs)


def _drawn(
    rng: np.random.Generator, kinds: tuple[str, ...], verbs: list[tuple[str, ...]]
) -> PromptPair:
    """A random sentence and its counterpart in the other number."""
    nouns = word_list("nouns")
    templates = _TEMPLATES[kinds[rng.integers(len(kinds))]]
    template = templates[rng.integers(len(templates))]
    subject, other = (nouns[i] for i in rng.choice(len(nouns), 2, replace=False))
    number, between = rng.integers(2, size=2)
    clean, corrupted = (
        fill(template, subject=subject[n], other=other[between])
        for n in (number, 1 - number)
    )
    right, wrong = (
        tuple(f" {verb[n]}" for verb in verbs) for n in (number, 1 - number)
    )
    return PromptPair(clean, corrupted, right, wrong)


def _lexicon(texts: list[PromptPair]) -> list[str]:
    words = (
        word for name in ("nouns", "verbs") for line in word_list(name) for word in line
    )
    plain = (
        fill(template, subject="man", other="man").text
        for templates in _TEMPLATES.values()
        for template in templates
    )
    given = (
        text
        for pair in texts
        for text in (pair.clean.text, pair.corrupted.text, *pair.right, *pair.wrong)
    )
    return [*plain, *given, *(f" {word}" for word in words)]


SPEC = TaskSpec(
    name="sva",
    summary="verbs that agree with their subject in number",
    build=sva,
    tiny={"n_prompts": 60},
)
