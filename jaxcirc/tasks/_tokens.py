"""Text in the tokens of a published model, or ids that somebody has made of it."""

import pathlib
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Int, Key

from ._task import AbstractTask, Batch, Split, TaskSpec
from ._text import TEST_FRACTION, read_corpus


class Vocabulary:
    """What tokens look like; compared by identity, so that it is cheap under `jit`."""

    def __init__(self, words: Sequence[str]):
        self.words = tuple(words)


class Tokens(AbstractTask):
    """Windows of token ids; the answer is the next one, at every position.

    Train and test windows come from disjoint stretches.
    """

    n_ctx: int = eqx.field(static=True)
    d_vocab: int = eqx.field(static=True)
    vocabulary: Vocabulary | None = eqx.field(static=True)
    train: Int[Array, " token"]
    test: Int[Array, " token"]

    def __init__(
        self,
        ids: Int[np.ndarray, " token"],
        n_ctx: int,
        d_vocab: int = 0,
        vocabulary: Vocabulary | None = None,
    ):
        n_test = int(len(ids) * TEST_FRACTION)
        if n_test <= n_ctx:
            raise ValueError(
                f"tokens: {len(ids):,} tokens are too few for windows of `n_ctx` = "
                f"{n_ctx}; the test split, a tenth, must hold more than one window. "
                "Give more text or a smaller `n_ctx`."
            )
        if ids.min() < 0:
            raise ValueError(f"tokens: ids must not be negative; got {ids.min()}.")
        self.d_vocab = max(d_vocab, int(ids.max()) + 1)
        ids = ids.astype(np.int32)
        self.train, self.test = jnp.asarray(ids[:-n_test]), jnp.asarray(ids[-n_test:])
        self.n_ctx, self.vocabulary = n_ctx, vocabulary

    def sample(self, n: int, *, split: Split = "train", key: Key[Array, ""]) -> Batch:
        """`n` windows at random places of a split."""
        data = self.train if split == "train" else self.test
        start = jr.randint(key, (n, 1), 0, data.shape[0] - self.n_ctx)
        window = data[start + jnp.arange(self.n_ctx + 1)[None, :]]
        tokens, targets = window[:, :-1], window[:, 1:]
        return Batch(tokens, targets, jnp.ones(tokens.shape, bool))

    def corrupt(self, batch: Batch, *, key: Key[Array, ""]) -> Batch:
        """The window of another example, so give at least two."""
        del key
        return jax.tree.map(lambda x: jnp.roll(x, 1, axis=0), batch)

    def decode(self, tokens: Int[Array, " pos"]) -> list[str]:
        """The tokens' text, or their numbers where no tokenizer is known."""
        ids = np.asarray(tokens).tolist()
        if self.vocabulary is None:
            return [str(t) for t in ids]
        words = self.vocabulary.words
        return [words[t] if t < len(words) else str(t) for t in ids]

    def describe(self) -> dict[str, str]:
        """Sizes of the corpus."""
        return {
            "problem": "predict the next token",
            "tokens": f"of {self.d_vocab:,} kinds",
            "train": f"{len(self.train):,} tokens",
            "test": f"{len(self.test):,} tokens",
        }


def tokens(
    paths: Sequence[str] = (),
    ids: str | Sequence[int] = "",
    tokenizer: Any = None,
    n_ctx: int = 64,
    max_bytes: int = 2_000_000,
    most_tokens: int = 0,
) -> Tokens:
    """Language modelling in the tokens of a published model.

    Args:
        paths: Files or folders of text; the Python standard library's source if none.
        ids: Token ids in place of text: a `.npy` file, or the ids themselves.
        tokenizer: A `tokenizer.json`; in a study of a published trajectory its own
            tokenizer unless given.
        n_ctx: Window length in tokens.
        max_bytes: Read at most so much text.
        most_tokens: Kinds of tokens that the model knows; in a study of a published
            trajectory its own number. Entries of the tokenizer beyond them do not
            count unless the text uses them.
    """
    made = _tokenizer(tokenizer)
    vocabulary = None if made is None else Vocabulary(_words(made))
    size = 0 if made is None else made.get_vocab_size()
    size = min(size, most_tokens) if most_tokens else size
    if ids:
        found = _read_ids(ids) if isinstance(ids, str) else np.asarray(ids)
        return Tokens(found, n_ctx, 0, vocabulary)
    if made is None:
        raise ValueError(
            "tokens: give `tokenizer`, the path of a tokenizer.json, or `ids`, a .npy "
            "file of token ids; this trajectory brings no tokenizer along."
        )
    text, _ = read_corpus(paths, max_bytes)
    found = made.encode(text.decode(errors="ignore"), add_special_tokens=False).ids
    return Tokens(np.asarray(found, np.int32), n_ctx, size, vocabulary)


def _read_ids(path: str) -> np.ndarray:
    try:
        found = np.load(pathlib.Path(path).expanduser(), allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"tokens: {path} cannot be read: {error}") from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iu":
        raise ValueError(f"tokens: {path} must hold an array of whole numbers.")
    return found.reshape(-1)


def _tokenizer(given: Any) -> Any:
    if isinstance(given, int | float | list | dict):
        raise ValueError(
            f"tokens: `tokenizer` is the path of a tokenizer.json; got {given!r}."
        )
    if not isinstance(given, str):
        return given
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ImportError(
            "tokens: a tokenizer needs: pip install 'jaxcirc[hub]'. Token ids in a "
            ".npy file (`ids`) need nothing more."
        ) from error
    path = pathlib.Path(given).expanduser()
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:
        # The library raises plain `Exception`s of whatever it cannot read.
        raise ValueError(f"tokens: no tokenizer at {given}: {error}") from error


def _words(tokenizer: Any) -> list[str]:
    """Every token as text, with visible blanks."""
    size = tokenizer.get_vocab_size()
    marks = {"Ġ": "␣", "▁": "␣", "Ċ": "⏎"}
    words = []
    for index in range(size):
        word = tokenizer.id_to_token(index) or str(index)
        for mark, shown in marks.items():
            word = word.replace(mark, shown)
        words.append(word)
    return words


SPEC = TaskSpec(
    name="tokens",
    summary="the next token of text, in the tokens of a published model",
    build=tokens,
    tiny={"ids": [pow(7, i, 257) % 11 for i in range(250)], "n_ctx": 8},
)
