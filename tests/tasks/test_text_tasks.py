"""Text tasks token by token, on tokenizers that cut words as they like."""

import json
import os
import pathlib
from collections import Counter

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc.objectives import ProbabilityDifference
from jaxcirc.tasks import TASKS, WordTokenizer, _ioi, _sva
from jaxcirc.tasks._encoded import encode_pair
from jaxcirc.tasks._greater_than import two_token_years
from jaxcirc.tasks._prompt import Prompt, PromptPair
from jaxcirc.tasks._tokenizer import LibraryTokenizer
from jaxcirc.tasks._word_lists import first_names, word_list

# Folders beside the checkout that hold published tokenizers and files, where there are.
DATA = pathlib.Path(
    os.environ.get(
        "JAXCIRC_SHARED_DATA", pathlib.Path(__file__).parents[2].parent / "shared/data"
    )
)
NAMES = ("ioi", "greater_than", "sva", "gender_pronoun", "docstring", "country_capital")


def build(name, **options):
    (spec,) = (row for row in TASKS if row.name == name)
    return spec.build(**options)


def byte_pairs(texts, size):
    """A tokenizer of byte pairs, as GPT-2's, that has learned from some texts."""
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        show_progress=False,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    made.train_from_iterator(texts, trainer)
    return LibraryTokenizer(made)


def published(name):
    tokenizers = pytest.importorskip("tokenizers")
    folder = DATA / "tokenizers"
    if not folder.exists():
        pytest.skip("no tokenizers below JAXCIRC_SHARED_DATA")
    if name == "neox":
        path = str(folder / "neox/20B_tokenizer.json")
        return LibraryTokenizer(tokenizers.Tokenizer.from_file(path))
    made = tokenizers.ByteLevelBPETokenizer(
        str(folder / "gpt2/gpt2_vocab.json"), str(folder / "gpt2/gpt2_merges.txt")
    )
    return LibraryTokenizer(made._tokenizer)


@pytest.fixture(scope="session")
def small():
    """Byte pairs that know most words of the tasks, and split the rarer names."""
    common = [name for i, name in enumerate(first_names()) if i % 3] * 4
    words = [w for name in ("nouns", "verbs", "nouns_of_time", "arguments", "capitals")
             for line in word_list(name) for w in line]  # fmt: skip
    sentences = [t.replace("{", "").replace("}", "") for t in _ioi.TEMPLATES]
    text = [*common, *words, "he", "she", "isn't", "param", "self", "year"]
    # Centuries are the commoner, so that they are put together before other digits.
    alone = [f" {c}" for c in range(11, 18)] * 50
    alone += [f"{a}{b}" for a in "0123456789" for b in "0123456789"] * 5
    return byte_pairs([*(f" {word}" for word in text), *sentences, *alone], 2500)


def check_token_by_token(task, n):
    """What a task says of its prompts, read off their text again."""
    pairs = task.pairs(n, split="train", key=jr.key(0))
    rows = jax.tree.map(np.asarray, pairs)
    show = task.tokenizer
    for i in range(n):
        end = rows.positions["end"][i]
        clean, corrupted = rows.clean[i, : end + 1], rows.corrupted[i, : end + 1]
        # Of equal length: what follows `end` is filled up in both.
        for tokens in (clean, corrupted):
            text = show.decode(tokens.tolist())
            assert show.encode(text) == tokens.tolist()
        assert (rows.clean[i, end + 1 :] == rows.corrupted[i, end + 1 :]).all()
        assert (clean != corrupted).any()
        right, wrong = ({*ids[i].tolist()} - {-1} for ids in (rows.right, rows.wrong))
        assert right
        assert wrong
        assert not right & wrong
        for token in right | wrong:
            assert show.encode(show.decode([token])) == [token]
        at = {name: int(place[i]) for name, place in rows.positions.items()}
        check_roles(task.name, show, clean, corrupted, right, wrong, at)


def check_roles(name, show, clean, corrupted, right, wrong, at):
    word = lambda place, row=clean: show.decode([int(row[place])])
    said = lambda ids: {show.decode([token]) for token in ids}
    if name == "ioi":
        assert right == {clean[at["IO"]]}
        assert wrong == {clean[at["S1"]]} == {clean[at["S2"]]}
        assert word(at["IO"]).strip() in first_names()
        assert at["S1+1"] == at["S1"] + 1
        assert at["IO-1"] == at["IO"] - 1
        assert max(at["IO"], at["S1"]) < at["S2"] < at["end"]
        assert word(at["end"]) == " to"
        counts = Counter(clean.tolist())
        assert (counts[clean[at["IO"]]], counts[clean[at["S1"]]]) == (1, 2)
        names = {corrupted[at[role]] for role in ("IO", "S1", "S2")}
        assert len(names) == 3
        assert not names & (right | wrong)
    elif name == "greater_than":
        assert word(at["first"]) == word(at["second"])
        assert at["YY"] == at["first"] + 1
        assert at["second"] == at["end"]
        year = int(word(at["YY"]))
        assert said(right) == {f"{y:02d}" for y in range(year + 1, 100)}
        assert said(wrong) == {f"{y:02d}" for y in range(year + 1)}
        assert np.flatnonzero(clean != corrupted).tolist() == [at["YY"]]
        assert word(at["YY"], corrupted) == "01"
    elif name == "sva":
        forms = word_list("verbs")
        number = 0 if said(right) <= {f" {pair[0]}" for pair in forms} else 1
        assert said(right) <= {f" {pair[number]}" for pair in forms}
        assert said(wrong) <= {f" {pair[1 - number]}" for pair in forms}
        assert len(right) == len(wrong)
        subject = show.decode(clean[: at["subject"] + 1].tolist()).split()[-1]
        assert subject in {pair[number] for pair in word_list("nouns")}
    elif name == "gender_pronoun":
        assert said(right) == {" " + first_names()[word(at["name"]).strip()]}
        other = word(at["name"], corrupted).strip()
        assert said(wrong) == {" " + first_names()[other]}
    elif name == "docstring":
        assert right == {clean[at["C_def"]]}
        for letter in "AB":
            assert clean[at[f"{letter}_def"]] == clean[at[f"{letter}_doc"]]
        defined = {clean[at[k]] for k in ("first", "second", "A_def", "B_def", "last")}
        assert defined <= wrong
        assert corrupted[at["C_def"]] in wrong
    else:
        capitals = {line[0]: " ".join(line[1:]) for line in word_list("capitals")}
        for row, answers in ((clean, right), (corrupted, wrong)):
            text = show.decode(row[: at["country"] + 1].tolist())
            (answer,) = said(answers)
            assert capitals[text.split()[-1]] == answer.strip()


@pytest.mark.parametrize("name", NAMES)
def test_prompts_are_what_the_task_says_token_by_token(name, small):
    for tokenizer in ("words", small):
        check_token_by_token(build(name, tokenizer=tokenizer, n_prompts=80), 50)


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", ["gpt2", "neox"])
@pytest.mark.parametrize("name", NAMES)
def test_published_tokenizers_token_by_token(name, tokenizer):
    made = published(tokenizer)
    check_token_by_token(build(name, tokenizer=made, n_prompts=2600), 2000)


@pytest.mark.parametrize("tokenizer", ["gpt2", "neox"])
@pytest.mark.parametrize("name", NAMES)
def test_published_tokenizers_on_fifty_prompts(name, tokenizer):
    made = published(tokenizer)
    check_token_by_token(build(name, tokenizer=made, n_prompts=80), 50)


def test_years_are_two_tokens_without_the_ends_of_each_century():
    made = published("neox")
    expected = []
    for century in range(11, 18):
        fits = [
            100 * century + y
            for y in range(2, 99)
            if [made.decode([t]) for t in made.encode(f" {century}{y:02d}")]
            == [f" {century}", f"{y:02d}"]
        ]
        expected += fits[1:-1]
    years = two_token_years(made)
    assert years == expected
    assert years[0] >= 1103
    assert years[-1] <= 1797


def test_what_is_dropped_is_a_recount(small):
    task = build("ioi", tokenizer=small, n_prompts=200)
    split = [name for name in first_names() if len(small.encode(f" {name}")) != 1]
    assert split
    assert task.dropped["a name is not a single token"] == len(split)
    assert f"{len(split)}: a name is not a single token" in task.describe()["left out"]
    capitals = build("country_capital", tokenizer=small)
    answers = [" ".join(line[1:]) for line in word_list("capitals")]
    several = [c for c in answers if len(small.encode(f" {c}")) != 1]
    # Each of them is asked for in three sentences.
    assert capitals.dropped["an answer is not a single token"] >= 3 * len(several)
    total = sum(len(capitals.examples(split).tokens) for split in ("train", "test"))
    assert total + sum(capitals.dropped.values()) == 3 * len(answers)


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        (("The man", "The men", " is", " are"), None),
        (
            ("The man", "The man", " is", " are"),
            "clean and corrupted prompt are the same",
        ),
        (("The man", "The man man", " is", " are"), "differ in length"),
        (("The man", "The men", " is are", " are"), "not a single token"),
        (("The man", "The men", " is", " is"), "same token"),
    ],
)
def test_each_reason_to_leave_a_pair_out(pair, why):
    clean, corrupted, right, wrong = pair
    words = WordTokenizer(pair)
    made = PromptPair(Prompt(clean, {}), Prompt(corrupted, {}), (right,), (wrong,))
    found = encode_pair(made, words, None, 0)
    if why is None:
        assert found.places == {"end": 1}
        assert encode_pair(made, words, None, 1) == "longer than `n_ctx`"
        assert encode_pair(made, words, 0, 0).places == {"end": 2}
    else:
        assert why in found


@pytest.mark.parametrize("corruption", _ioi.CORRUPTIONS)
@pytest.mark.parametrize("order", ["abba", "baba"])
def test_a_corruption_puts_names_where_its_letters_say(corruption, order):
    task = build("ioi", corruption=corruption, order=order, n_prompts=30)
    pairs = jax.tree.map(np.asarray, task.pairs(20, key=jr.key(0)))
    for i in range(20):
        places = [pairs.positions[role][i] for role in ("IO", "S1", "S2")]
        assert (places[0] < places[1]) == (order == "abba")
        clean, found = (
            [row[i, p] for p in places] for row in (pairs.clean, pairs.corrupted)
        )
        letters = dict(zip(_ioi.CORRUPTIONS[corruption], found, strict=True))
        assert [letters[c] for c in _ioi.CORRUPTIONS[corruption]] == found
        for letter, token in letters.items():
            role = {"A": clean[0], "B": clean[1]}.get(letter)
            assert token == role if role is not None else token not in clean
        changed = np.flatnonzero(pairs.clean[i] != pairs.corrupted[i])
        assert {*changed.tolist()} <= {*places}


def test_mixed_orders_are_even_and_all_fifteen_sentences_are_used():
    task = build("ioi", n_prompts=1000)
    at = task.table.positions
    first = np.asarray(at["IO"] < at["S1"])
    # Every second prompt is ABBA, and hardly one of a thousand is drawn twice.
    assert abs(first.sum() - (~first).sum()) <= 1000 - len(first)
    cuts = np.minimum(at["IO"], at["S1"]).tolist()
    starts = {
        tuple(row[:cut])
        for row, cut in zip(task.table.clean.tolist(), cuts, strict=True)
    }
    assert len(_ioi.TEMPLATES) == 15
    assert len(starts) == 15


def test_the_seed_decides_the_prompts():
    one, again, other = (build("ioi", n_prompts=40, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.table.clean, again.table.clean)
    assert one.table.clean.tolist() != other.table.clean.tolist()
    # Files and lists of facts too are shuffled by the seed alone.
    facts = [build("country_capital", n_prompts=30, seed=s) for s in (0, 0, 1)]
    np.testing.assert_array_equal(facts[0].table.clean, facts[1].table.clean)
    assert facts[0].table.clean.tolist() != facts[2].table.clean.tolist()


def test_sums_over_groups_of_answers_do_not_grow_with_the_batch():
    """A probability mass is a mean over prompts, however many there are."""
    task = build("greater_than", n_prompts=60)
    flat = lambda tokens: jnp.zeros((*tokens.shape, task.d_vocab))
    for n in (5, 20):
        pairs = task.pairs(n, key=jr.key(1))
        right, wrong = ((x >= 0).sum(-1) for x in (pairs.right, pairs.wrong))
        expected = (right - wrong) / task.d_vocab
        value = ProbabilityDifference()(flat, pairs)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def test_lines_of_json_are_read(tmp_path):
    rows = [
        ("The nurse", "The nurses", " is", " are"),
        ("The poets", "The poet", " go", " goes"),
        ("The guard", "The guards guards", " has", " have"),
    ]
    path = tmp_path / "simple.json"
    path.write_text("".join(
        json.dumps(dict(zip(_sva._KEYS, row, strict=True)) | {"case": "x"}) + "\n"
        for row in rows
    ))  # fmt: skip
    task = build("sva", path=str(path))
    assert task.dropped == {"clean and corrupted prompt differ in length": 1}
    texts = {
        tuple(task.tokenizer.decode(ids.tolist()) for ids in (row, other, right, wrong))
        for row, other, right, wrong in zip(
            *(np.asarray(x) for x in task.table[:4]), strict=True
        )
    }
    assert texts == set(rows[:2])
    path.write_text('{"clean_prefix": "The"}\n')
    with pytest.raises(ValueError, match=r"sva: .*line 1: not a JSON object with"):
        build("sva", path=str(path))
    with pytest.raises(ValueError, match="sva: .*cannot be read"):
        build("sva", path=str(tmp_path / "none.json"))


class Letters:
    """A tokenizer that splits every word into characters."""

    size, bos = 5000, None

    def encode(self, text):
        return [min(ord(letter), 4999) for letter in text]

    def decode(self, tokens):
        return "".join(map(chr, tokens))

    def single_token(self, text):
        raise ValueError(text)

    def show(self, token):
        return chr(token)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ioi", r"ioi: .*take 5 names .* splits (\d+) of \1"),
        ("gender_pronoun", r"gender_pronoun: .* splits (\d+) of \1"),
        ("docstring", r"docstring: .* splits (\d+) of \1"),
        ("sva", r"sva: this tokenizer splits"),
        ("greater_than", r"greater_than: .* 1745 is 5 tokens"),
        ("country_capital", r"country_capital: 0 .* not a single token"),
    ],
)
def test_a_tokenizer_that_splits_every_word_is_refused(name, says):
    with pytest.raises(ValueError, match=says):
        build(name, tokenizer=Letters(), n_prompts=20)


@pytest.mark.parametrize("name", NAMES)
def test_prompts_longer_than_the_context_are_refused(name):
    with pytest.raises(ValueError, match=f"{name}: 0 .*longer than `n_ctx`"):
        build(name, n_ctx=1, n_prompts=20)
    with pytest.raises(
        ValueError, match=f"{name}: this trajectory brings no tokenizer"
    ):
        build(name, tokenizer=None)


def test_options_that_do_not_fit_are_refused():
    for name, options, says in (
        ("ioi", {"corruption": "x"}, "`corruption` is one of abc"),
        ("ioi", {"templates": [15]}, "numbers below 15"),
        ("sva", {"kinds": ()}, "`kinds` are some of simple"),
        ("docstring", {"corruption": "x"}, "one of random_random"),
        ("ioi_toy", {"n_names": 3}, "`n_names` must be from 10 to 150"),
        ("ioi_toy", {"held_out": 1.0}, "`held_out` in"),
        ("ioi_toy", {"corruption": "x"}, "`corruption` is one of abc"),
    ):
        with pytest.raises(ValueError, match=f"{name}: .*{says}"):
            build(name, **options)


def test_a_token_for_the_beginning_moves_every_place(small):
    plain, begun = (
        build("ioi", tokenizer=small, n_prompts=30, bos=bos)
        for bos in ("", "<|endoftext|>")
    )
    first = small.single_token("<|endoftext|>")
    assert (begun.table.clean[:, 0] == first).all()
    np.testing.assert_array_equal(begun.table.clean[:, 1:], plain.table.clean)
    for name, place in plain.table.positions.items():
        np.testing.assert_array_equal(begun.table.positions[name], place + 1)


def test_the_toy_language_tests_pairs_of_names_that_it_never_trains_on():
    task = build("ioi_toy", n_names=12, n_prompts=600)
    pairs = jax.tree.map(np.asarray, task.table)
    names = {task.tokenizer.single_token(f" {n}") for n in first_names()
             if f" {n}" in task.tokenizer._ids}  # fmt: skip

    def two(i):
        return frozenset({pairs.clean[i, pairs.positions[r][i]] for r in ("IO", "S1")})

    # Sentences of other kinds name no indirect object: their places are the end.
    asks = pairs.positions["S2"] < pairs.positions["end"]
    train = {two(i) for i in np.flatnonzero(asks[: task.n_train])}
    test = {two(i) for i in range(task.n_train, len(asks))}
    assert asks[task.n_train :].all()
    assert abs(asks[: task.n_train].mean() - 0.5) < 0.1
    assert not train & test
    assert all(pair <= names for pair in train | test)
