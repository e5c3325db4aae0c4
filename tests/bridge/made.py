"""Files of every kind that is read, made without PyTorch."""

import io
import json
import pickle  # noqa: TID251
import struct
import zipfile
from pathlib import Path

import jax.random as jr
import numpy as np
import safetensors.numpy

import tracr_bridge as tb
from jaxcirc.models import Transformer, TransformerConfig

NEOX = TransformerConfig(
    d_vocab=11,
    n_ctx=16,
    n_layers=2,
    d_model=8,
    n_heads=2,
    d_mlp=12,
    activation="gelu",
    positions="rotary",
    rotary_fraction=0.5,
    parallel=True,
    init_std=0.02,
)


def neox(seed: int = 0) -> Transformer:
    return Transformer(NEOX, key=jr.key(seed))


def write_neox(folder: Path, seed: int = 0) -> Transformer:
    model = neox(seed)
    tb.save(model, str(folder))
    return model


class _Global:
    """Pickles as a call of a function by name, without importing it."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name


def torch_pickle(state: dict[str, np.ndarray]) -> bytes:
    """What `torch.save` puts into `data.pkl`, written opcode by opcode."""
    out = io.BytesIO()
    put = out.write
    put(b"\x80\x02}(")
    for index, (name, array) in enumerate(state.items()):
        put(b"X" + struct.pack("<I", len(name)) + name.encode())
        put(b"ctorch._utils\n_rebuild_tensor_v2\n((")
        text(out, "storage")
        kinds = {"float32": "Float", "int64": "Long", "float16": "Half"}
        put(f"ctorch\n{kinds[array.dtype.name]}Storage\n".encode())
        text(out, str(index))
        text(out, "cpu")
        integer(out, array.size)
        put(b"tQ")
        integer(out, 0)
        put(b"(")
        for size in array.shape:
            integer(out, size)
        put(b"t(")
        for stride in array.strides:
            integer(out, stride // array.itemsize)
        put(b"t\x89ccollections\nOrderedDict\n)RtR")
    put(b"u.")
    return out.getvalue()


def text(out: io.BytesIO, value: str) -> None:
    out.write(b"X" + struct.pack("<I", len(value)) + value.encode())


def integer(out: io.BytesIO, value: int) -> None:
    out.write(b"J" + struct.pack("<i", value))


def torch_file(path: Path, state: dict[str, np.ndarray]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", torch_pickle(state))
        archive.writestr("archive/byteorder", "little")
        for index, array in enumerate(state.values()):
            archive.writestr(f"archive/data/{index}", array.tobytes())


def evil_file(path: Path, witness: Path) -> None:
    """A `.pt` whose pickle would create a file if it were executed."""

    class Evil:
        def __reduce__(self):
            return (open, (str(witness), "w"))

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"w": Evil()}, protocol=2))


def llama2c_file(
    path: Path, *, version: int = 0, shared: bool = True
) -> dict[str, np.ndarray]:
    """A small random model; gives its weights as llama2.c calls them."""
    sizes = (8, 12, 2, 2, 1, 13 if shared else -13, 6)
    dim, hidden, layers, heads, kv, vocab, seq = sizes
    vocab, rows = abs(vocab), dim // heads * kv
    shapes = {
        "embed": (vocab, dim),
        "norm1": (layers, dim),
        "q": (layers, dim, dim),
        "k": (layers, rows, dim),
        "v": (layers, rows, dim),
        "o": (layers, dim, dim),
        "norm2": (layers, dim),
        "w1": (layers, hidden, dim),
        "w2": (layers, dim, hidden),
        "w3": (layers, hidden, dim),
        "norm": (dim,),
        "tables": (2, seq, dim // heads // 2),
        "head": (vocab, dim),
    }
    rng = np.random.default_rng(0)
    weights = {k: rng.normal(size=s).astype("<f4") for k, s in shapes.items()}
    # The order in which each version of llama2.c writes them.
    order = (
        "norm1 norm2 norm embed q k v o w1 w2 w3"
        if version
        else "embed norm1 q k v o norm2 w1 w2 w3 norm tables"
    ).split() + ([] if shared else ["head"])
    data = b"".join(weights[name].tobytes() for name in order)
    if version:
        head = struct.pack(
            "<Ii7iB", 0x616B3432, version, *sizes[:5], vocab, seq, shared
        )
        path.write_bytes(head.ljust(256, b"\0") + data)
    else:
        path.write_bytes(struct.pack("<7i", *sizes) + data)
    return weights


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "a.weight": rng.normal(size=(3, 4)).astype(np.float32),
        "a.bias": rng.normal(size=4).astype(np.float16),
        "count": np.arange(5),
        "step": np.asarray(7),
    }


def seeds(folder: Path) -> dict[str, Path]:
    """One whole file of each kind."""
    found = {name: folder / f"whole.{name}" for name in ("safetensors", "npz", "pt")}
    safetensors.numpy.save_file(arrays(), str(found["safetensors"]))
    np.savez(found["npz"], **arrays())
    torch_file(found["pt"], arrays())
    found["bin"] = folder / "whole.bin"
    llama2c_file(found["bin"])
    found["json"] = folder / "config.json"
    write_neox(folder / "neox")
    found["json"].write_bytes((folder / "neox" / "config.json").read_bytes())
    json.loads(found["json"].read_text())
    return found


def split_folder(folder: Path) -> Path:
    """A model split over two files; gives the index that lists them."""
    write_neox(folder)
    whole = safetensors.numpy.load_file(str(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    names = list(whole)
    files = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(names)}
    for file in set(files.values()):
        part = {name: whole[name] for name in names if files[name] == file}
        safetensors.numpy.save_file(part, str(folder / file))
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": files}))
    return index


def tokenizer_file(folder: Path) -> Path:
    """A `tokenizer.json` of eleven words, written without its library."""
    words = ["the", "cat", "sat", "on", "a", "mat", ".", "dog", "ran", "and", "[UNK]"]
    tree = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: index for index, word in enumerate(words)},
            "unk_token": "[UNK]",
        },
    }
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(tree))
    return path


def same(a, b):
    """Assert that two models hold equal weights."""
    for x, y in zip(
        *(tb.checkpoints._weights.named_leaves(m).values() for m in (a, b)), strict=True
    ):
        np.testing.assert_array_equal(x, y)
