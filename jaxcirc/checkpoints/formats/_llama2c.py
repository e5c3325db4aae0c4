"""llama2.c's model files: seven sizes, then the weights in a fixed order."""

import math
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .._tensors import CheckpointError
from ._tensors import Entry, Tensors, ordinary, reading

_MAGIC = 0x616B3432
_FLOAT = np.dtype("<f4")
# Limits, so that a damaged header makes no loop of years and no huge arrays.
_MOST_LAYERS, _LARGEST = 10_000, 2**24


class Llama2cHeader(NamedTuple):
    """The sizes of a llama2.c model, under the names that the file's format has.

    Args:
        dim: Width of the residual stream.
        hidden_dim: Hidden units of an MLP.
        n_layers: Layers.
        n_heads: Attention heads of a layer.
        n_kv_heads: Heads of keys and values of a layer.
        vocab_size: Tokens; positive here, though the file may mark it by a sign.
        seq_len: Longest sequence.
    """

    dim: int
    hidden_dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    vocab_size: int
    seq_len: int


def open_llama2c(path: str) -> tuple[Llama2cHeader, Tensors]:
    """The sizes of a llama2.c file, and its tensors by the names that Llama's have.

    Both float versions are read: the original one without a mark, and version 1. The
    file holds no names: its sizes say where each matrix begins, so the length of the
    file must be what they come to, to the byte.

    Args:
        path: The file.

    Returns:
        The sizes, and float32 tensors such as `model.layers.0.self_attn.q_proj.weight`;
        `lm_head.weight` is among them where the classifier is not the embedding.

    Raises:
        CheckpointError: the file has another size than its header says, or is of a
            version with quantised weights.
        FileNotFoundError: there is none.

    Example:
        >>> import pathlib, struct, tempfile
        >>> from jaxcirc.checkpoints.formats import open_llama2c
        >>> path = pathlib.Path(tempfile.mkdtemp(), "tiny.bin")
        >>> sizes = struct.pack("<7i", 2, 3, 1, 1, 1, 5, 4)
        >>> path.write_bytes(sizes + bytes(4 * (50 + 2 * 4)))
        260
        >>> header, tensors = open_llama2c(str(path))
        >>> header.vocab_size, tensors.shapes["model.embed_tokens.weight"]
        (5, (5, 2))
    """
    name = os.path.basename(path)
    with reading(name), open(ordinary(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        first = file.read(64)
        if len(first) < 28:
            raise CheckpointError(f"{name} is too short for a llama2.c file.")
        marked = struct.unpack_from("<I", first)[0] == _MAGIC
        version = struct.unpack_from("<i", first, 4)[0] if marked else 0
        if version not in (0, 1):
            raise CheckpointError(
                f"{name}: llama2.c version {version} holds quantised weights, which "
                "are not read; export version 0 or 1."
            )
        numbers = struct.unpack_from("<7i", first, 8 if marked else 0)
        shared = bool(first[36]) if marked else numbers[5] > 0
        header = Llama2cHeader(*numbers)._replace(vocab_size=abs(numbers[5]))
        if not _sensible(header):
            raise CheckpointError(
                f"{name} is no llama2.c file: its header is {header}."
            )
        order = list(_order(header, version, shared))
        sizes = [math.prod(shape) * _FLOAT.itemsize for _, shape in order]
        start = 256 if marked else 28
        # Before anything is made of the sizes, which may be nonsense.
        if start + sum(sizes) != size:
            raise CheckpointError(
                f"{name} has {size:,} bytes where its header says "
                f"{start + sum(sizes):,}; it is cut short or no llama2.c file."
            )
        entries = {}
        for (key, shape), length in zip(order, sizes, strict=True):
            entries |= _split(path, key, shape, start)
            start += length
    return header, Tensors(name, entries)


def _sensible(h: Llama2cHeader) -> bool:
    """Whether sizes are positive, divide each other and stay within bounds."""
    small = min(h) >= 1 and max(h) <= _LARGEST and h.n_layers <= _MOST_LAYERS
    return small and not h.dim % h.n_heads and not h.n_heads % h.n_kv_heads


def _order(
    h: Llama2cHeader, version: int, shared: bool
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes as they follow each other; what has no name is skipped."""
    kv = h.dim // h.n_heads * h.n_kv_heads
    layer = "model.layers.{layer}"
    norms = [
        (f"{layer}.input_layernorm.weight", (h.n_layers, h.dim)),
        (f"{layer}.post_attention_layernorm.weight", (h.n_layers, h.dim)),
    ]
    final = ("model.norm.weight", (h.dim,))
    embed = ("model.embed_tokens.weight", (h.vocab_size, h.dim))
    attention = [
        (f"{layer}.self_attn.{name}_proj.weight", (h.n_layers, rows, h.dim))
        for name, rows in (("q", h.dim), ("k", kv), ("v", kv), ("o", h.dim))
    ]
    mlp = [
        (f"{layer}.mlp.gate_proj.weight", (h.n_layers, h.hidden_dim, h.dim)),
        (f"{layer}.mlp.down_proj.weight", (h.n_layers, h.dim, h.hidden_dim)),
        (f"{layer}.mlp.up_proj.weight", (h.n_layers, h.hidden_dim, h.dim)),
    ]
    if version == 0:
        # Tables of rotary angles follow; they are computed from the sizes instead.
        table = ("", (h.seq_len, h.dim // h.n_heads // 2))
        order = [embed, norms[0], *attention, norms[1], *mlp, final, table, table]
    else:
        order = [*norms, final, embed, *attention, *mlp]
    yield from order
    if not shared:
        yield "lm_head.weight", (h.vocab_size, h.dim)


def _split(path: str, key: str, shape: tuple[int, ...], begin: int) -> dict[str, Entry]:
    """Entries of one run of weights, layer by layer where there are layers."""
    if not key:
        return {}
    layers, inner = (shape[0], shape[1:]) if "{layer}" in key else (1, shape)
    count = math.prod(inner)

    def reader(start: int):
        def read() -> np.ndarray:
            with open(path, "rb") as file:
                file.seek(start)
                return np.fromfile(file, _FLOAT, count).reshape(inner)

        return read

    return {
        key.format(layer=i): Entry(
            inner, _FLOAT, reader(begin + i * count * _FLOAT.itemsize)
        )
        for i in range(layers)
    }
