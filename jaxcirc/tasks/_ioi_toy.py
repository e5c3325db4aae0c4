"""A small language in which a model learns indirect object identification here."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from ._encoded import encode_pairs
from ._ioi import CORRUPTIONS, ioi_pair, with_neighbours
from ._make_task import distinct
from ._prompt import PromptPair, fill
from ._prompt_task import PromptTask
from ._task import TaskSpec
from ._word_lists import first_names, word_list
from ._words import WordTokenizer

(_PLACES,) = word_list("places")
(_OBJECTS,) = word_list("objects")
_IOI = (
    "Then {1} and {2} went to the {place}. {S2} gave a {object} to",
    "When {1} and {2} left the {place}, {S2} sent a {object} to",
    "At the {place}, {1} met {2}, and {S2} showed a {object} to",
    "Today {1} saw {2} near the {place}. Later {S2} lent a {object} to",
    "After {1} and {2} found a {object} by the {place}, {S2} handed it to",
    "In the {place} sat {1} with {2} until {S2} threw a {object} to",
)
# In these the answer hangs on something else than on who was said once.
_OWNER = "Here {A} has the {object} and {B} has the {other}. The {asked} belongs to"
_THING = (
    "Here {A} has the {object} and {B} has the {other}. In the bag of {asked} is the"
)
_AGAIN = "Now {A} waits at the {place} and {B} at the {other}. So {asked} waits at the"


def ioi_toy(
    n_names: int = 60,
    n_prompts: int = 12_000,
    ioi_share: float = 0.5,
    held_out: float = 0.2,
    corruption: str = "abc",
    seed: int = 0,
) -> PromptTask:
    """A language of some 140 words, in which a share of sentences is as in `ioi`.

    Half of the training sentences ask for the indirect object, in six forms and both
    orders of names; the others say who has what or waits where, and ask for the owner,
    the thing or the place. The loss counts the last word only, since it alone follows
    from the words before. Test sentences are all of the first kind, with pairs of names
    that never stand together in a training sentence of that kind, in either order: who
    has learned the names by heart cannot say them. Places have the names of `ioi`.

    Args:
        n_names: Names of the language, from 10 to 150.
        n_prompts: Training sentences.
        ioi_share: Share of those that ask for the indirect object, in (0, 1].
        held_out: Share of the pairs of names that is for testing, in (0, 1).
        corruption: What counterparts have in the place of names; as for `ioi`.
        seed: Of names, sentences and words.

    Returns:
        The task, with a word as a token.

    Raises:
        ValueError: an option does not fit.

    Example:
        >>> task = ioi_toy(n_names=10, n_prompts=40)
        >>> task.d_vocab < 200, task.n_ctx < 20
        (True, True)
    """
    if corruption not in CORRUPTIONS:
        raise ValueError(
            f"ioi_toy: `corruption` is one of {', '.join(CORRUPTIONS)}; got "
            f"{corruption!r}."
        )
    if not 10 <= n_names <= 150 or n_prompts < 10:
        raise ValueError(
            "ioi_toy: `n_names` must be from 10 to 150 and `n_prompts` at least 10; "
            f"got {n_names} and {n_prompts}."
        )
    if not 0 < ioi_share <= 1 or not 0 < held_out < 1:
        raise ValueError(
            "ioi_toy: `ioi_share` must be in (0, 1] and `held_out` in (0, 1); got "
            f"{ioi_share} and {held_out}."
        )
    rng = np.random.default_rng(seed)
    names = rng.permutation([*first_names()])[:n_names].tolist()
    known, unknown = _pairs_of_names(rng, n_names, held_out)
    words = WordTokenizer(_lexicon(names))

    def indirect(of: np.ndarray, n: int) -> Iterator[PromptPair]:
        for row in of[rng.integers(len(of), size=n)]:
            yield _indirect(rng, names, rng.permutation(row), corruption)

    n_ioi = max(1, round(n_prompts * ioi_share))
    n_test = min(1000, n_prompts)
    train = [*indirect(known, n_ioi)]
    train += [_other(rng, names) for _ in range(n_prompts - n_ioi)]
    rows, tests = (
        distinct(map(with_neighbours, encode_pairs(pairs, words, None, 0)[0]))
        for pairs in (train, [*indirect(unknown, n_test)])
    )
    mixed = [rows[i] for i in rng.permutation(len(rows))]
    problem = "say the last word of sentences, half of which ask who is given something"
    return PromptTask("ioi_toy", problem, mixed, tests, words, words.size, {})


def _pairs_of_names(
    rng: np.random.Generator, n: int, held_out: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of names by number for training, and others for testing."""
    pairs = rng.permutation(np.stack(np.triu_indices(n, 1), axis=1))
    cut = max(1, int(len(pairs) * held_out))
    return pairs[cut:], pairs[:cut]


def _indirect(rng, names, two: np.ndarray, corruption: str) -> PromptPair:
    """A sentence with these two names; its counterpart may have any three others."""
    others = (int(i) for i in rng.permutation(len(names)) if i not in two)
    rest = itertools.islice(others, 3)
    return ioi_pair(
        _IOI[rng.integers(len(_IOI))],
        [names[i] for i in (*two, *rest)],
        corruption,
        abba=bool(rng.integers(2)),
        place=_PLACES[rng.integers(len(_PLACES))],
        object=_OBJECTS[rng.integers(len(_OBJECTS))],
    )


def _other(rng: np.random.Generator, names: Sequence[str]) -> PromptPair:
    """A sentence of another kind; its counterpart asks for the other one."""
    template = (_OWNER, _THING, _AGAIN)[rng.integers(3)]
    people = _two(rng, names)
    things = _two(rng, _PLACES if template is _AGAIN else _OBJECTS)
    asked, answers = (things, people) if template is _OWNER else (people, things)
    which = int(rng.integers(2))
    first = "place" if template is _AGAIN else "object"
    slots = {"A": people[0], "B": people[1], first: things[0], "other": things[1]}
    clean, corrupted = (
        fill(template, asked=asked[i], **slots) for i in (which, 1 - which)
    )
    right, wrong = answers[which], answers[1 - which]
    return PromptPair(clean, corrupted, (f" {right}",), (f" {wrong}",))


def _two(rng: np.random.Generator, words: Sequence[str]) -> list[str]:
    """Two different words."""
    # Numbers are drawn, since numpy would turn the words into an array each time.
    return [words[int(i)] for i in rng.choice(len(words), 2, replace=False)]


def _lexicon(names: Sequence[str]) -> list[str]:
    """All words of the language, as they stand in sentences."""
    slots = ("1", "2", "S2", "A", "B", "place", "object", "other", "asked")
    texts = [
        fill(template, **dict.fromkeys(slots, names[0])).text
        for template in (*_IOI, _OWNER, _THING, _AGAIN)
    ]
    return texts + [f" {word}" for word in (*names, *_PLACES, *_OBJECTS)]


SPEC = TaskSpec(
    name="ioi_toy",
    summary="a small language, trained on here, that asks for the indirect object",
    build=ioi_toy,
    tiny={"n_names": 12, "n_prompts": 60},
)
