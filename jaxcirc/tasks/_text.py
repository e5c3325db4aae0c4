"""Real text, byte by byte: any files or folders, or Python's own standard library."""

import hashlib
import itertools
import pathlib
import sysconfig
import warnings
from collections.abc import Iterator, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Int, Key, UInt8

from ._task import AbstractTask, Batch, Split, TaskSpec

TEST_FRACTION = 0.1


class Text(AbstractTask):
    """Windows of bytes; the answer is the next byte, at every position.

    Train and test windows come from disjoint stretches of the corpus.
    """

    n_ctx: int = eqx.field(static=True)
    d_vocab: int = eqx.field(static=True)
    n_files: int = eqx.field(static=True)
    train: UInt8[Array, " byte"]
    test: UInt8[Array, " byte"]

    def __init__(self, corpus: bytes, n_ctx: int, n_files: int = 1):
        n_test = int(len(corpus) * TEST_FRACTION)
        if n_test <= n_ctx:
            raise ValueError(
                f"text: {len(corpus):,} bytes are too few for windows of `n_ctx` = "
                f"{n_ctx}; the test split, a tenth, must hold more than one window. "
                "Give more text or a smaller `n_ctx`."
            )
        data = np.frombuffer(corpus, np.uint8)
        self.train, self.test = jnp.asarray(data[:-n_test]), jnp.asarray(data[-n_test:])
        self.n_ctx, self.d_vocab, self.n_files = n_ctx, 256, n_files

    def sample(self, n: int, *, split: Split = "train", key: Key[Array, ""]) -> Batch:
        """`n` windows at random places of a split."""
        data = self.train if split == "train" else self.test
        start = jr.randint(key, (n, 1), 0, data.shape[0] - self.n_ctx)
        window = data[start + jnp.arange(self.n_ctx + 1)[None, :]].astype(jnp.int32)
        tokens, targets = window[:, :-1], window[:, 1:]
        return Batch(tokens, targets, jnp.ones(tokens.shape, bool))

    def corrupt(self, batch: Batch, *, key: Key[Array, ""]) -> Batch:
        """The window of another example, so give at least two.

        Its next byte is now and then the same one; compare targets where it matters.
        """
        del key
        return jax.tree.map(lambda x: jnp.roll(x, 1, axis=0), batch)

    def decode(self, tokens: Int[Array, " pos"]) -> list[str]:
        """Characters, with visible white space; other bytes in hexadecimal."""
        visible = {10: "⏎", 32: "␣", 9: "⇥"}
        ids = np.asarray(tokens).tolist()
        return [visible.get(t, chr(t) if 33 <= t < 127 else f"{t:02x}") for t in ids]

    def describe(self) -> dict[str, str]:
        """Sizes of the corpus."""
        return {
            "problem": "predict the next byte",
            "corpus": f"{self.n_files:,} files",
            "train": f"{len(self.train):,} bytes",
            "test": f"{len(self.test):,} bytes",
        }


def text(
    paths: Sequence[str] = (), n_ctx: int = 64, max_bytes: int = 8_000_000
) -> Text:
    """Byte-level language modelling on files of your own.

    Args:
        paths: Files or folders; the Python standard library's source if none.
        n_ctx: Window length in bytes.
        max_bytes: Read at most so much.
    """
    corpus, n_files = read_corpus(paths, max_bytes)
    return Text(corpus, n_ctx, n_files)


def read_corpus(paths: Sequence[str], max_bytes: int) -> tuple[bytes, int]:
    """The text of files and folders, and how many files it came from.

    Args:
        paths: Files or folders; the Python standard library's source if none.
        max_bytes: Read at most so much.

    Files that are not UTF-8 are left out, with a warning that names them.

    Raises:
        ValueError: a path does not exist, or none holds readable text.
    """
    folders = paths or (sysconfig.get_path("stdlib"),)
    roots = [pathlib.Path(path).expanduser() for path in folders]
    pattern = "*" if paths else "*.py"
    found = sorted(
        itertools.chain.from_iterable(_files(root, pattern) for root in roots),
        # An order without meaning, so the test split is not the alphabet's end.
        key=lambda file: hashlib.blake2b(str(file[1]).encode()).digest(),
    )
    parts, size, left_out = [], 0, []
    for file, inside in found:
        content = _read_text(file)
        if content is None:
            left_out.append(str(inside))
        elif content and size < max_bytes:
            parts.append(content)
            size += len(content) + 1
    if not parts:
        raise ValueError(
            f"text: no readable UTF-8 text in {', '.join(map(str, roots))}. "
            "Give files or folders that hold some."
        )
    if left_out and paths:
        warnings.warn(_left_out(sorted(left_out), len(found)), stacklevel=3)
    return b"\n".join(parts)[:max_bytes], len(parts)


def _files(
    root: pathlib.Path, pattern: str
) -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """Files below `root`, each with its path inside it; hidden ones are left out."""
    if not root.exists():
        raise ValueError(f"text: no such file or folder: {root}.")
    if root.is_file():
        yield root, pathlib.Path(root.name)
        return
    skipped = {"site-packages", "dist-packages", "__pycache__", "test", "idlelib"}
    for file in root.rglob(pattern):
        inside = file.relative_to(root)
        hidden = any(part.startswith(".") for part in inside.parts)
        if file.is_file() and not hidden and not skipped.intersection(inside.parts):
            yield file, inside


def _read_text(file: pathlib.Path) -> bytes | None:
    """The file's bytes if they can be read and are UTF-8."""
    try:
        content = file.read_bytes()
        content.decode()
    except (UnicodeDecodeError, OSError):
        return None
    return content


def _left_out(names: list[str], number: int) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (
        f"text: {len(names)} of {number} files are not UTF-8 text and are left out: "
        f"{', '.join(names[:3])}{more}. Convert what is text in another encoding."
    )


SPEC = TaskSpec(
    name="text",
    summary="the next byte of real text: your files, or Python's standard library",
    build=text,
    tiny={"n_ctx": 16, "max_bytes": 20_000},
)
