"""Real text: any files or folders, in bytes or in the tokens of a model."""

import pathlib
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Integer, Key

from ._batch import Batch, Split
from ._corpus import read_corpus
from ._task import AbstractTask, TaskSpec
from ._tokenizer import ByteTokenizer, Tokenizer, find_tokenizer

TEST_FRACTION = 0.1
# What is read unless a study says how much: encoding takes longer than reading.
MAX_BYTES = 8_000_000
MAX_BYTES_TO_ENCODE = 2_000_000


class Text(AbstractTask):
    """Windows of a text; the answer is the next token, at every position.

    Train and test windows come from disjoint stretches.

    Args:
        ids: The whole text as token ids.
        n_ctx: Length of a window.
        d_vocab: Ids are below it; more if the text has larger ones.
        tokenizer: What the ids stand for; None if that is not known.
        n_files: Where the text came from; 0 if that is not known.

    Raises:
        ValueError: there are too few ids for two windows, or a negative one.
    """

    n_ctx: int = eqx.field(static=True)
    d_vocab: int = eqx.field(static=True)
    tokenizer: Tokenizer | None = eqx.field(static=True)
    n_files: int = eqx.field(static=True)
    train: Integer[Array, " token"]
    test: Integer[Array, " token"]

    def __init__(
        self,
        ids: Integer[np.ndarray, " token"],
        n_ctx: int,
        d_vocab: int = 0,
        tokenizer: Tokenizer | None = None,
        n_files: int = 0,
    ):
        # The end is the test split, so that no window of it overlaps one of training.
        n_test = int(len(ids) * TEST_FRACTION)
        if n_test <= n_ctx:
            raise ValueError(
                f"text: {len(ids):,} tokens are too few for windows of `n_ctx` = "
                f"{n_ctx}; the test split, a tenth, must hold more than one window. "
                "Give more text or a smaller `n_ctx`."
            )
        if ids.min() < 0:
            raise ValueError(f"text: ids must not be negative; got {ids.min()}.")
        self.d_vocab = max(d_vocab, int(ids.max()) + 1)
        # Bytes stay bytes: a corpus takes a quarter of the memory.
        data = ids if ids.dtype == np.uint8 else ids.astype(np.int32)
        self.train, self.test = jnp.asarray(data[:-n_test]), jnp.asarray(data[-n_test:])
        self.n_ctx, self.tokenizer, self.n_files = n_ctx, tokenizer, n_files

    def sample(self, n: int, *, split: Split = "train", key: Key[Array, ""]) -> Batch:
        """`n` windows at random places of a split.

        Args:
            n: Number of examples.
            split: `train` or `test`.
            key: Random key of the draw.
        """
        data = self.train if split == "train" else self.test
        start = jr.randint(key, (n, 1), 0, data.shape[0] - self.n_ctx)
        window = data[start + jnp.arange(self.n_ctx + 1)[None, :]].astype(jnp.int32)
        tokens, targets = window[:, :-1], window[:, 1:]
        return Batch(tokens, targets, jnp.ones(tokens.shape, bool))

    def corrupt(self, batch: Batch, *, key: Key[Array, ""]) -> Batch:
        """The window of another example, so give at least two.

        Its next token is now and then the same one; compare targets where it matters.

        Args:
            batch: Examples of this task.
            key: Random key of the counterparts.
        """
        # The neighbour, not a random other: nobody gets himself, and nothing is drawn.
        del key
        return jax.tree.map(lambda x: jnp.roll(x, 1, axis=0), batch)

    def decode(self, tokens: Integer[Array, " pos"]) -> list[str]:
        """The tokens as text, or their numbers where no tokenizer is known."""
        ids = np.asarray(tokens).tolist()
        show = str if self.tokenizer is None else self.tokenizer.show
        return [show(token) for token in ids]

    def describe(self) -> dict[str, str]:
        """The problem, and how large the corpus and its splits are."""
        unit = "byte" if isinstance(self.tokenizer, ByteTokenizer) else "token"
        facts = {"problem": f"predict the next {unit}"}
        if self.n_files:
            facts["corpus"] = f"{self.n_files:,} files"
        if unit == "token":
            facts["tokens"] = f"of {self.d_vocab:,} kinds"
        for name, data in (("train", self.train), ("test", self.test)):
            facts[name] = f"{len(data):,} {unit}s"
        return facts


def text(
    paths: Sequence[str] = (),
    ids: str | Sequence[int] = "",
    tokenizer: Any = "bytes",
    n_ctx: int = 64,
    max_bytes: int | None = None,
    most_tokens: int = 0,
) -> Text:
    """Language modelling on files of your own, in bytes or in a model's tokens.

    Args:
        paths: Files or folders of text; the Python standard library's source if none.
            Of that, `stdlib:NAME` is a package alone, such as `stdlib:email`.
        ids: Token ids in place of text: a `.npy` file, or the ids themselves.
        tokenizer: `bytes`, or the path of a tokenizer.json; in a study of a published
            trajectory its own tokenizer unless given. In Python also a `Tokenizer`, or
            one of the `tokenizers` library.
        n_ctx: Window length in tokens.
        max_bytes: Read at most so much text; unless given 8,000,000 bytes, or
            2,000,000 where a tokenizer has to encode them.
        most_tokens: Kinds of tokens that the model knows; in a study of a published
            trajectory its own number. Entries of the tokenizer beyond them do not
            count unless the text uses them.

    Raises:
        ValueError: there is no such text, no such tokenizer, or too little of it.
        ImportError: a tokenizer.json needs a library that is not installed.
    """
    # A model of 256 tokens that has no tokenizer of its own reads bytes.
    given = "bytes" if tokenizer is None and most_tokens == 256 else tokenizer
    if ids is not None and len(ids):
        return _of_ids(ids, n_ctx, None if given in (None, "bytes") else given)
    if given is None:
        raise ValueError(
            "text: give `tokenizer`, the path of a tokenizer.json or `bytes`, or "
            "`ids`, a .npy file of token ids; this trajectory brings no tokenizer "
            "along."
        )
    made = find_tokenizer(given)
    plain = isinstance(made, ByteTokenizer)
    most = MAX_BYTES if plain else MAX_BYTES_TO_ENCODE
    corpus, n_files = read_corpus(paths, most if max_bytes is None else max_bytes)
    if plain:
        found = np.frombuffer(corpus, np.uint8)
    else:
        found = np.asarray(made.encode(corpus.decode(errors="ignore")), np.int32)
    size = min(made.size, most_tokens) if most_tokens else made.size
    return Text(found, n_ctx, size, made, n_files)


def _of_ids(ids: str | Sequence[int], n_ctx: int, tokenizer: Any) -> Text:
    """A text that is given as ids, which a tokenizer can only show."""
    shown = None if tokenizer is None else find_tokenizer(tokenizer)
    found = _read_ids(ids) if isinstance(ids, str) else np.asarray(ids)
    return Text(found, n_ctx, 0, shown)


def _read_ids(path: str) -> np.ndarray:
    try:
        found = np.load(pathlib.Path(path).expanduser(), allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"text: {path} cannot be read: {error}") from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iu":
        raise ValueError(f"text: {path} must hold an array of whole numbers.")
    return found.reshape(-1)


SPEC = TaskSpec(
    name="text",
    summary="the next byte or token of text: your files, or Python's standard library",
    build=text,
    tiny={"n_ctx": 16, "max_bytes": 20_000},
    formerly=("tokens",),
)
