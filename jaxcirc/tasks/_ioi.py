"""Indirect object identification: who is given what (Wang et al. 2023)."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ._encoded import Encoded, encode_pairs, single_tokens
from ._make_task import make_task
from ._prompt import Prompt, PromptPair, fill
from ._prompt_task import PromptTask
from ._task import TaskSpec
from ._tokenizer import Tokenizer
from ._word_lists import first_names, word_list

# The first two slots are names in the order of the prompt, whoever has which part.
TEMPLATES = (
    "Yesterday {1} and {2} walked to the {place}, and {S2} handed a {object} to",
    "On Sunday {1} and {2} met at the {place}. Before long {S2} passed a {object} to",
    "While {1} and {2} waited near the {place}, {S2} showed a {object} to",
    "Once {1} and {2} had reached the {place}, {S2} lent a {object} to",
    "Last summer {1} and {2} worked at the {place}. One day {S2} sold a {object} to",
    "In the morning {1} and {2} drove to the {place}, where {S2} brought a {object} to",
    "Since {1} and {2} were both at the {place}, {S2} offered a {object} to",
    "At noon {1} and {2} sat down by the {place}. Then {S2} threw a {object} to",
    "Because {1} and {2} liked the {place}, they stayed, and {S2} gave a {object} to",
    "When {1} and {2} left the {place}, {S2} sent a {object} to",
    "Long ago {1} and {2} lived by the {place}. Every year {S2} mailed a {object} to",
    "Though {1} and {2} argued at the {place}, {S2} still returned a {object} to",
    "As {1} and {2} cleaned the {place}, {S2} found something and gave a {object} to",
    "After dinner {1} and {2} returned to the {place}, and {S2} promised a {object} to",
    "Today {1} and {2} shared a table at the {place}. Soon {S2} pushed a {object} to",
)
(_PLACES,) = word_list("places")
(_OBJECTS,) = word_list("objects")

# Who stands in the place of the indirect object, of the subject, and of the subject's
# second mention. A is the indirect object, B the subject; X, Y, Z are other names.
CORRUPTIONS = {
    "abc": "XYZ",
    "io_random": "XBB",
    "s_random": "AXX",
    "s1_random": "AXB",
    "s2_random": "ABX",
    "swap_io_s2": "ABA",
    "opposite_position": "BAB",
    "opposite_token": "BAA",
    "other_token": "XYY",
    "other_token_opposite_position": "XYX",
}

Order = Literal["mixed", "abba", "baba"]


def ioi_pair(
    template: str,
    names: Sequence[str],
    corruption: str,
    *,
    abba: bool,
    **words: str,
) -> PromptPair:
    """One prompt and its counterpart.

    Args:
        template: With the slots `{1}`, `{2}` and `{S2}`.
        names: The indirect object, the subject, and three others.
        corruption: One of `CORRUPTIONS`.
        abba: The indirect object is named first; else the subject is.
        **words: For the template's other slots.

    Returns:
        The pair, whose answers are the indirect object and the subject.
    """
    named = dict(zip("ABXYZ", names, strict=True))

    def prompt(roles: str) -> Prompt:
        io, s1, s2 = (named[role] for role in roles)
        slots = template.replace("{1}", "{IO}" if abba else "{S1}")
        slots = slots.replace("{2}", "{S1}" if abba else "{IO}")
        return fill(slots, IO=io, S1=s1, S2=s2, **words)

    answers = ((f" {named[role]}",) for role in "AB")
    return PromptPair(prompt("ABB"), prompt(CORRUPTIONS[corruption]), *answers)


def with_neighbours(row: Encoded) -> Encoded:
    """The same pair, with the places before and behind each name too."""
    near = {
        f"{name}{step:+d}": row.places[name] + step
        for name in ("IO", "S1", "S2")
        for step in (-1, 1)
        if name in row.places
    }
    return row._replace(places=row.places | near)


def ioi(
    tokenizer: Any = "words",
    corruption: str = "abc",
    order: Order = "mixed",
    n_prompts: int = 1000,
    templates: Sequence[int] = (),
    bos: str = "",
    n_ctx: int = 0,
    seed: int = 0,
    most_tokens: int = 0,
) -> PromptTask:
    """Indirect object identification: "When Mary and John left, John gave a ball to".

    The answer is the name that was said once, the indirect object (IO), and not that
    of the subject (S1, S2), which was said twice. Names are those that are one token of
    the given tokenizer; the two answers are different tokens. Named places are `IO`,
    `S1` and `S2`, each with its neighbours (`S1-1`, `S1+1`), `place`, `object` and
    `end`; where a word has several tokens its place is the last.

    Args:
        tokenizer: `words`, whose tokens are the words of these sentences; the path of a
            tokenizer.json; in a study of a published trajectory its own.
        corruption: What the counterpart has at IO, S1 and S2. With A for the indirect
            object, B for the subject and X, Y, Z for other names: `abc` XYZ,
            `io_random` XBB, `s_random` AXX, `s1_random` AXB, `s2_random` ABX,
            `swap_io_s2` ABA (the answer is reversed), `opposite_position` BAB,
            `opposite_token` BAA, `other_token` XYY, `other_token_opposite_position`
            XYX. (IO, S and S1 replaced one after another is `abc`.)
        order: Who is named first: the indirect object (`abba`), the subject (`baba`),
            or each in half of the prompts (`mixed`).
        n_prompts: How many are drawn; those left out are not made up for.
        templates: Numbers of the sentences to use, below 15; all if none.
        bos: A token before each prompt, such as `<|endoftext|>`.
        n_ctx: Longest prompt in tokens; longer ones are left out. 0 for any length.
        seed: Of names, sentences and words.
        most_tokens: Kinds of tokens that the model knows; 0 if the tokenizer says.

    Returns:
        The task; `dropped` says what the tokenizer left out, and why.

    Raises:
        ValueError: an option does not fit, or the tokenizer leaves too few names.

    Example:
        >>> import jax
        >>> task = ioi(n_prompts=50)
        >>> pairs = task.pairs(2, key=jax.random.key(0))
        >>> at = pairs.positions
        >>> bool((pairs.clean[0, at["IO"][0]] == pairs.right[0, 0]))
        True
        >>> bool((pairs.clean[0, at["S1"][0]] == pairs.clean[0, at["S2"][0]]))
        True

    Wang et al. (2023), Interpretability in the wild, arXiv 2211.00593, section 2 and
    appendix A.
    """
    if corruption not in CORRUPTIONS:
        raise ValueError(
            f"ioi: `corruption` is one of {', '.join(CORRUPTIONS)}; got {corruption!r}."
        )
    chosen = _chosen(templates)

    def draw(made: Tokenizer, rng: np.random.Generator):
        names, split = single_tokens(first_names(), made)
        if len(names) < 5:
            raise ValueError(
                f"ioi: a prompt and its counterpart take 5 names of one token each; "
                f"this tokenizer splits {len(split)} of {len(split) + len(names)}. "
                "Give one that has names as tokens, such as that of the model."
            )
        pairs = [
            _drawn(rng, names, chosen, corruption, order, i) for i in range(n_prompts)
        ]
        first = made.single_token(bos) if bos else None
        rows, dropped = encode_pairs(pairs, made, first, n_ctx)
        if split:
            dropped["a name is not a single token"] = len(split)
        return [with_neighbours(row) for row in rows], dropped

    problem = "say who is given something: the name that was said once"
    return make_task(
        "ioi",
        problem,
        draw,
        lexicon(),
        tokenizer=tokenizer,
        most_tokens=most_tokens,
        seed=seed,
    )


def _drawn(rng, names, templates, corruption, order, i) -> PromptPair:
    """A random pair; with `mixed` orders, every second one is ABBA."""
    return ioi_pair(
        templates[rng.integers(len(templates))],
        [names[j] for j in rng.choice(len(names), 5, replace=False)],
        corruption,
        abba=order == "abba" or (order == "mixed" and i % 2 == 0),
        place=_PLACES[rng.integers(len(_PLACES))],
        object=_OBJECTS[rng.integers(len(_OBJECTS))],
    )


def _chosen(templates: Sequence[int]) -> Sequence[str]:
    """The sentences with these numbers.

    Raises:
        ValueError: there is no such number.
    """
    if any(not 0 <= i < len(TEMPLATES) for i in templates):
        raise ValueError(
            f"ioi: `templates` are numbers below {len(TEMPLATES)}; got {[*templates]}."
        )
    return [TEMPLATES[i] for i in templates] or TEMPLATES


def lexicon() -> list[str]:
    """Texts with all words of these sentences, as they stand in them."""
    words = [*first_names(), *_PLACES, *_OBJECTS]
    slots = dict.fromkeys(("1", "2", "S2", "place", "object"), words[0])
    plain = (fill(template, **slots).text for template in TEMPLATES)
    return [*plain, *(f" {word}" for word in words)]


SPEC = TaskSpec(
    name="ioi",
    summary="indirect object identification: the name that was said once",
    build=ioi,
    tiny={"n_prompts": 60},
)
