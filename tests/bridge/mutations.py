"""Damaged and dishonest files of every kind, read in a process that can be watched.

    python -m tests.bridge.mutations KIND COUNT FOLDER

prints as JSON how many were loaded and refused, the slowest one's seconds, how far the
peak of memory rose in MiB, and what was executed or written that should not be.
"""

import copy
import io
import json
import resource
import struct
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tracr_bridge as tb

from . import made

# What a value of JSON may be instead.
WRONG: list[Any] = [
    None, True, -1, 0, 1.5, 10**12, 10**400, 1e400, float("nan"), "", "x", "../../x",
    [], [3], [[]], {}, {"rope_type": "llama3"}, {"type": "linear", "factor": 0},
]  # fmt: skip
# Instructions of a pickle, rather than any bytes.
OPCODES = b"()*.012Q]ac}bdehlopqrstuR\x85\x86\x87\x88\x89\x8f\x90\x91\x93\x94NXGJKMc"


def mutated(data: bytes, rng: np.random.Generator, alphabet: bytes = b"") -> bytes:
    """Bytes changed, cut out, doubled, filled in or cut off."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        if not out:
            break
        # Headers are where it hurts; half of the changes go there.
        reach = len(out) if rng.random() < 0.5 else min(len(out), 400)
        place, size = int(rng.integers(0, reach)), int(rng.integers(1, 9))
        new = rng.bytes(size)
        if alphabet:
            new = bytes(alphabet[b % len(alphabet)] for b in new)
        match rng.integers(0, 6):
            case 0:
                out[place] = new[0]
            case 1:
                del out[place : place + size]
            case 2:
                out[place:place] = out[place : place + size]
            case 3:
                out[place : place + size] = new
            case 4:
                del out[place:]
            case 5:
                out[place:place] = new * int(rng.integers(1, 2000))
    return bytes(out)


def mutated_json(data: bytes, rng: np.random.Generator) -> bytes:
    """One value after the other replaced by one of another kind."""
    tree = json.loads(data)
    for _ in range(rng.integers(1, 3)):
        node = tree
        while node:
            key = list(node)[rng.integers(len(node))] if type(node) is dict else 0
            inner = node[key]
            if not isinstance(inner, dict | list) or not inner or rng.random() < 0.3:
                # A copy: the next change may be one within it.
                node[key] = copy.deepcopy(WRONG[rng.integers(len(WRONG))])
                break
            node = inner
    return json.dumps(tree).encode()


def mutated_header(data: bytes, rng: np.random.Generator) -> bytes:
    """A safetensors file whose header is changed and whose length fits it."""
    length = int.from_bytes(data[:8], "little")
    change = mutated_json if rng.random() < 0.5 else mutated
    header = change(data[8 : 8 + length], rng)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def mutated_member(data: bytes, rng: np.random.Generator) -> bytes:
    """A zip archive with one member changed and its checksum right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        chosen = names[0 if rng.random() < 0.7 else rng.integers(len(names))]
        for name in names:
            inside = old.read(name)
            if name == chosen:
                alphabet = OPCODES if name.endswith(".pkl") else b""
                inside = mutated(inside, rng, alphabet)
            new.writestr(name, inside)
    return out.getvalue()


def any_of(*ways: Callable[..., bytes]) -> Callable[..., bytes]:
    """One of several ways to change a file."""
    return lambda data, rng: ways[rng.integers(len(ways))](data, rng)


def read_arrays(path: Path) -> None:
    """Every array that a file announces."""
    tensors = tb.open_tensors(str(path))
    for name in tensors:
        np.asarray(tensors[name]).sum()


def read_folder(path: Path) -> None:
    """The model of the folder that a file lies in."""
    tb.load(str(path.parent))


def read_tokenizer(path: Path) -> None:
    """The tokenizer of the first checkpoint of the folder above."""
    found = tb.trajectory(str(path.parent.parent)).tokenizer
    if found is not None:
        found.encode("the cat sat")


def seeds(folder: Path) -> dict[str, tuple[Path, Callable, Callable]]:
    """For each kind a whole file, ways to change it, and how it is read."""
    whole = made.seeds(folder)
    made.evil_file(folder / "evil.pt", folder / "executed")
    neox = folder / "neox"
    index = made.split_folder(folder / "split")
    (folder / "series").mkdir()
    made.write_neox(folder / "series" / "step0")
    tokenizer = made.tokenizer_file(folder / "series" / "step0")
    weights = any_of(mutated, mutated_header)
    text = any_of(mutated, mutated_json)
    return {
        "safetensors": (whole["safetensors"], weights, read_arrays),
        "npz": (whole["npz"], any_of(mutated, mutated_member), read_arrays),
        "pt": (whole["pt"], any_of(mutated, mutated_member), read_arrays),
        "evil": (folder / "evil.pt", any_of(mutated, mutated_member), read_arrays),
        "bin": (whole["bin"], mutated, lambda path: tb.load_llama2c(str(path))),
        "model": (neox / "model.safetensors", weights, read_folder),
        "config": (neox / "config.json", text, read_folder),
        "index": (index, text, read_folder),
        "tokenizer": (tokenizer, text, read_tokenizer),
    }


def watch(allowed: Path) -> list[str]:
    """What is executed from now on, or written anywhere else."""
    seen: list[str] = []
    forbidden = ("os.system", "os.exec", "subprocess.Popen", "pickle.find_class")
    writing = ("w", "a", "x", "+")

    def hook(event: str, arguments: tuple) -> None:
        if event in forbidden or event.startswith("socket."):
            seen.append(f"{event} {arguments!r:.200}")
        written = event == "open" and any(c in str(arguments[1]) for c in writing)
        if written and str(arguments[0]) != str(allowed):
            seen.append(f"{event} {arguments!r:.200}")

    sys.addaudithook(hook)
    return seen


def peak() -> float:
    """The most memory that the process has had, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def main(kind: str, count: int, folder: Path) -> dict[str, Any]:
    """Read so many changed files of a kind."""
    warnings.simplefilter("ignore")
    path, change, read = seeds(folder)[kind]
    whole = path.read_bytes()
    # Whole, so that libraries are loaded before anything is measured.
    if kind != "evil":
        read(path)
    seen, before = watch(path), peak()
    rng = np.random.default_rng(list(kind.encode()))
    loaded, slowest, faults = 0, 0.0, []
    for number in range(count):
        path.write_bytes(change(whole, rng))
        began = time.monotonic()
        try:
            read(path)
            loaded += 1
        except (ValueError, OSError) as error:
            if not str(error):
                faults.append(f"{number}: an error without a word")
        except Exception as error:
            faults.append(f"{number}: {type(error).__name__}: {error}")
        slowest = max(slowest, time.monotonic() - began)
    return {
        "loaded": loaded,
        "refused": count - loaded,
        "slowest": slowest,
        "grew": peak() - before,
        "faults": faults,
        "executed": seen,
    }


if __name__ == "__main__":
    found = main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
    sys.stdout.write(json.dumps(found) + "\n")
