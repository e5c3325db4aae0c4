import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc._core import find
from jaxcirc.tasks import (
    TASKS,
    ByteTokenizer,
    LibraryTokenizer,
    ModAdd,
    Text,
    Tokenizer,
)
from jaxcirc.tasks._pairs import pairs_of


def build(name, **options):
    return find(TASKS, name, kind="task").build(**options)


def test_mod_add_answers_are_right_for_every_pair():
    task = build("mod_add", p=7)
    seen = []
    for split in ("train", "test"):
        batch = task.examples(split)
        for (a, b, equals), targets, mask in zip(
            *(part.tolist() for part in batch), strict=True
        ):
            assert equals == 7
            assert targets[-1] == (a + b) % 7
            assert mask == [False, False, True]
            seen.append((a, b))
    assert sorted(seen) == [(a, b) for a in range(7) for b in range(7)]
    assert len(task.train) == round(0.3 * 49)


def test_mod_add_split_follows_its_seed():
    one, same, other = (ModAdd(7, 0.3, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.train, same.train)
    assert (one.train != other.train).any()


def test_mod_add_corruption_always_changes_the_answer():
    batch = build("mod_add", p=7).examples("train")
    wrong = build("mod_add", p=7).corrupt(batch, key=jr.key(0))
    assert (wrong.targets[:, -1] != batch.targets[:, -1]).all()
    assert (wrong.tokens[:, 0] == batch.tokens[:, 0]).all()


def test_mod_add_answers_are_the_numbers_with_any_number_of_outputs():
    for outputs, logits in (("tokens", 8), ("numbers", 7)):
        task = build("mod_add", p=7, outputs=outputs)
        assert (task.d_vocab, task.d_vocab_out, task.n_answers) == (8, logits, 7)
        assert task.examples("train").targets.max() < task.n_answers


PAIRS = np.array([[0, 1], [3, 2], [6, 6]])


@pytest.mark.parametrize("kind", ["numbers", "pairs", "mask", "square"])
@pytest.mark.parametrize("ending", ["list", "npy", "npz"])
def test_mod_add_takes_a_given_split(tmp_path, kind, ending):
    numbers = PAIRS[:, 0] * 7 + PAIRS[:, 1]
    mask = np.isin(np.arange(49), numbers)
    given = {
        "numbers": numbers,
        "pairs": PAIRS,
        "mask": mask,
        "square": mask.reshape(7, 7),
    }[kind]
    file = str(tmp_path / f"split.{ending}")
    if ending == "npy":
        np.save(file, given)
    elif ending == "npz":
        np.savez(file, train=given, other=np.zeros(3))
    task = build("mod_add", p=7, train=given.tolist() if ending == "list" else file)
    np.testing.assert_array_equal(task.train, PAIRS)
    rest = {tuple(pair) for pair in task.test.tolist()}
    assert len(rest) == 46
    assert not rest & {tuple(pair) for pair in PAIRS.tolist()}


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ([0, 0, 3], "names a pair twice"),
        ([0, 49], r"numbers in \[0, 49\); got 0 to 49"),
        ([[0, 7]], r"numbers in \[0, 7\); got 0 to 7"),
        ([[-1, 2]], r"got -1 to 2"),
        ([], "whole numbers"),
        (list(range(49)), "49 of the 49 pairs"),
        ([0.5, 1.0], "whole numbers"),
        ([True, False], "49 or 7 x 7 booleans"),
        ("absent.npy", "absent.npy cannot be read"),
    ],
)
def test_mod_add_names_what_is_no_split(train, words):
    with pytest.raises(ValueError, match=f"mod_add: .*{words}"):
        build("mod_add", p=7, train=train)


def test_mod_add_reads_no_pickles_and_no_lying_headers(tmp_path):
    file = tmp_path / "split.npy"
    np.save(file, np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="cannot be read"):
        build("mod_add", p=7, train=str(file))
    # A header that claims a thousand million numbers, and none behind it.
    np.save(file, np.arange(3))
    header = b"'shape': (3,), }" + b" " * 10
    assert header in file.read_bytes()
    lie = b"'shape': (9999999999,), }".ljust(len(header))
    file.write_bytes(file.read_bytes().replace(header, lie))
    with pytest.raises(ValueError, match="cannot be read"):
        build("mod_add", p=7, train=str(file))
    np.savez(tmp_path / "two.npz", a=np.arange(3), b=np.arange(3))
    with pytest.raises(ValueError, match="an array `train`; it has a, b"):
        build("mod_add", p=7, train=str(tmp_path / "two.npz"))


@pytest.mark.parametrize("fraction", [0.0, 1.0, 1.5])
def test_mod_add_refuses_an_empty_split(fraction):
    with pytest.raises(ValueError, match="leaves a split"):
        build("mod_add", p=7, train_fraction=fraction)


def test_induction_answers_follow_the_earlier_occurrence():
    task = build("induction", n_symbols=12, n_ctx=16, shortest=3, longest=6)
    batch = task.sample(50, key=jr.key(0))
    lengths = set()
    for tokens, targets, mask in zip(*(p.tolist() for p in batch), strict=True):
        assert tokens[0] == 12
        assert tokens[1:] + [targets[-1]] == targets
        counted = [i for i in range(16) if mask[i]]
        first = counted[0]
        assert counted == list(range(first, 16))
        for i in counted:
            # By definition: what followed the last time this token was seen.
            before = max(j for j in range(i) if tokens[j] == tokens[i])
            assert targets[i] == tokens[before + 1]
        # Nothing has repeated where the answer does not count.
        assert len(set(tokens[:first])) == first
        lengths.add(first - 1)
    assert lengths == {3, 4, 5, 6}


def test_induction_refuses_blocks_that_do_not_fit():
    with pytest.raises(ValueError, match="do not fit"):
        build("induction", n_symbols=12, n_ctx=8, shortest=3, longest=7)


def test_text_reads_files_and_folders(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.txt").write_text("abc" * 100)
    (tmp_path / "b.py").write_text("xyz" * 100)
    (tmp_path / "binary.bin").write_bytes(bytes([255, 254]) * 100)
    (tmp_path / ".hidden").write_text("never" * 100)
    with pytest.warns(UserWarning, match="1 of 3 files are not UTF-8.*binary.bin"):
        task = build("text", paths=(str(tmp_path),), n_ctx=8)
    corpus = bytes([*task.train.tolist(), *task.test.tolist()])
    assert task.n_files == 2
    assert set(corpus) == set(b"abcxyz\n")
    assert len(task.test) == len(corpus) // 10
    alone = build("text", paths=(str(tmp_path / "b.py"),), n_ctx=8)
    assert bytes(alone.train.tolist()) == b"xyz" * 90


def test_text_windows_come_from_their_split_alone():
    corpus = b"a" * 900 + b"b" * 100
    task = Text(np.frombuffer(corpus, np.uint8), n_ctx=8)
    for split, letter in (("train", ord("a")), ("test", ord("b"))):
        batch = task.sample(40, split=split, key=jr.key(0))
        assert (batch.tokens == letter).all()
        assert (batch.targets == letter).all()


def test_text_targets_are_the_next_bytes():
    corpus = bytes(range(200)) * 2
    batch = Text(np.frombuffer(corpus, np.uint8), n_ctx=8).sample(20, key=jr.key(0))
    assert ((batch.tokens + 1) % 200 == batch.targets).all()


def test_text_defaults_to_the_standard_library():
    task = build("text", n_ctx=16, max_bytes=50_000)
    assert len(task.train) + len(task.test) == 50_000
    assert b"def " in bytes(task.train.tolist())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "absent", "no such file or folder"),
        (lambda folder: folder, "no readable UTF-8 text"),
    ],
)
def test_text_names_what_cannot_be_read(tmp_path, make, words):
    with pytest.raises(ValueError, match=words):
        build("text", paths=(str(make(tmp_path)),))


def test_text_refuses_too_little(tmp_path):
    (tmp_path / "a.txt").write_text("short")
    with pytest.raises(ValueError, match="too few"):
        build("text", paths=(str(tmp_path),))


def test_mod_add_pairs_exchange_the_second_summand_alone():
    pairs = build("mod_add", p=7).pairs(20, key=jr.key(0))
    (a, b, _), (a2, b2, _) = pairs.clean.T, pairs.corrupted.T
    np.testing.assert_array_equal(a, a2)
    assert (b != b2).all()
    np.testing.assert_array_equal(pairs.right[:, 0], (a + b) % 7)
    np.testing.assert_array_equal(pairs.wrong[:, 0], (a2 + b2) % 7)
    assert {k: set(v.tolist()) for k, v in pairs.positions.items()} == {
        "a": {0},
        "b": {1},
        "end": {2},
    }


@pytest.mark.parametrize("bos", [True, False])
def test_induction_pairs_name_where_the_answer_stands(bos):
    task = build("induction", n_symbols=12, n_ctx=16, shortest=3, longest=6, bos=bos)
    pairs = task.pairs(20, key=jr.key(0))
    rows = np.arange(20)
    at = {name: np.asarray(place) for name, place in pairs.positions.items()}
    clean = np.asarray(pairs.clean)
    np.testing.assert_array_equal(clean[rows, at["source"]], pairs.right[:, 0])
    np.testing.assert_array_equal(clean[rows, at["previous"]], clean[rows, at["end"]])
    # The last earlier one: a block is between 3 and 6 long.
    assert set((at["end"] - at["previous"]).tolist()) == {3, 4, 5, 6}
    # The counterpart asks the same of the same tokens in another order, so what stands
    # behind the last earlier occurrence is another token at another place.
    corrupted = np.asarray(pairs.corrupted)
    for row, (sequence, asked) in enumerate(zip(corrupted, clean[:, -1], strict=True)):
        assert sequence[-1] == asked
        assert set(sequence) == set(clean[row])
        there = np.flatnonzero(sequence[:-1] == asked)[-1]
        assert there != at["previous"][row]
        assert sequence[there + 1] == pairs.wrong[row, 0]


def test_a_block_of_two_has_no_other_order_and_no_answer():
    task = build("induction", n_symbols=5, n_ctx=9, shortest=2, longest=2)
    pairs = task.pairs(3, key=jr.key(0))
    assert (pairs.right == -1).all()
    assert (pairs.wrong == -1).all()


def test_examples_without_another_answer_come_last_and_have_none():
    task = ModAdd(7, 0.5, 0)
    batch = task.sample(4, key=jr.key(0))
    wrong = task.corrupt(batch, key=jr.key(1))
    # The second and the fourth stay as they are.
    keep = np.array([False, True, False, True])[:, None]
    same = type(batch)(
        *(np.where(keep, a, b) for a, b in zip(batch, wrong, strict=True))
    )
    clean, _, end, found = pairs_of(batch, same, 3)
    np.testing.assert_array_equal(clean.tokens, batch.tokens[np.array([0, 2, 1])])
    assert end[:2].tolist() == [2, 2]
    assert found.tolist() == [True, True, False]


def test_the_earlier_name_of_text_is_still_read():
    ids = [pow(7, i, 257) % 11 for i in range(250)]
    task = build("tokens", ids=ids, n_ctx=8)
    assert isinstance(task, Text)
    assert task.d_vocab == 11
    assert task.decode(task.train[:3]) == ["1", "7", "5"]
    assert "tokens" not in {row.name for row in TASKS}


def test_bytes_are_a_tokenizer():
    tokenizer = ByteTokenizer()
    assert isinstance(tokenizer, Tokenizer)
    assert tokenizer.decode(tokenizer.encode("größe")) == "größe"
    assert (tokenizer.size, tokenizer.bos) == (256, None)
    assert "".join(map(tokenizer.show, b"a b\n\x00")) == "a␣b⏎00"
    with pytest.raises(ValueError, match="'ab' is 2 tokens"):
        tokenizer.single_token("ab")


def test_a_tokenizer_of_the_library_takes_part(tmp_path):
    library = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    words = {"[UNK]": 0, "<s>": 1, "a": 2, "cat": 3, "sat": 4}
    made = library.Tokenizer(library.models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = library.pre_tokenizers.Whitespace()
    plain, begun = LibraryTokenizer(made), LibraryTokenizer(made, bos="<s>")
    assert isinstance(plain, Tokenizer)
    assert (plain.size, plain.bos, begun.bos) == (5, None, 1)
    assert plain.encode("a cat sat") == [2, 3, 4]
    assert plain.decode([2, 3]) == "a cat"
    assert plain.single_token("cat") == 3
    with pytest.raises(ValueError, match="'a cat' is 2 tokens"):
        plain.single_token("a cat")
    with pytest.raises(ValueError, match="no token '<bos>'"):
        LibraryTokenizer(made, bos="<bos>")
    made.post_processor = library.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    assert LibraryTokenizer(made).bos == 1
    text = tmp_path / "a.txt"
    text.write_text("a cat sat " * 50)
    task = build("text", paths=(str(text),), tokenizer=made, n_ctx=4)
    assert task.d_vocab == 5
    assert task.train[:3].tolist() == [2, 3, 4]
    assert task.decode(task.train[:2]) == ["a", "cat"]


class Letters:
    """Somebody's own tokenizer: a and b, and nothing else."""

    size, bos = 2, None

    def encode(self, text):
        return [int(c == "b") for c in text if c in "ab"]

    def decode(self, tokens):
        return "".join("ab"[t] for t in tokens)

    def single_token(self, text):
        return "ab".index(text)

    def show(self, token):
        return "ab"[token]


def test_a_tokenizer_of_ones_own_takes_part(tmp_path):
    text = tmp_path / "a.txt"
    text.write_text("abba " * 50)
    task = build("text", paths=(str(text),), tokenizer=Letters(), n_ctx=4)
    assert task.d_vocab == 2
    assert task.decode(task.train[:4]) == ["a", "b", "b", "a"]


def test_text_without_a_tokenizer_is_bytes_for_a_model_of_bytes_alone():
    assert build("text", tokenizer=None, most_tokens=256, max_bytes=9000).d_vocab == 256
    with pytest.raises(ValueError, match="give `tokenizer`.*brings no tokenizer along"):
        build("text", tokenizer=None, most_tokens=50257)
    with pytest.raises(ValueError, match="path of a tokenizer.json; got 3"):
        build("text", tokenizer=3)
    with pytest.raises(ValueError, match="no tokenizer at absent.json"):
        build("text", tokenizer="absent.json")


def test_a_mirror_answers_with_what_came_before():
    from jaxcirc.tasks import Mirror

    task = Mirror(12, 16, 3, 6)
    batch = task.sample(64, key=jr.key(0))
    pairs = task.pairs(64, key=jr.key(1))
    found = jnp.take_along_axis(
        pairs.clean, pairs.positions["source"][:, None], axis=-1
    )[:, 0]
    start = pairs.positions["source"] == 0
    # Nothing stands before the first token, which is repeated at its turn.
    assert bool(((found == pairs.right[:, 0]) | start).all())
    tokens, targets = np.asarray(batch.tokens), np.asarray(batch.targets)
    np.testing.assert_array_equal(tokens[:, 1:], targets[:, :-1])
    for row, mask in zip(tokens, np.asarray(batch.mask), strict=True):
        length = mask.argmax() - 1
        back = row[1 : length + 1][::-1][: len(row) - length - 1]
        np.testing.assert_array_equal(row[length + 1 : 2 * length + 1], back)
