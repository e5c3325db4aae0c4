"""Small files that stand for large ones, or for endless work, are refused at once."""

import json
import os
import struct
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest

import tracr_bridge as tb
from jaxcirc.checkpoints import CheckpointError

from . import made

DEEP = 300_000
PICKLES = {
    "a deep tuple as a key": b"}" + b")" + b"\x85" * DEEP + b"K\x01s.",
    "a deep tuple that is called": b")" + b"\x85" * DEEP + b")R.",
    "a deep tuple as the tree": b"(" + b")" + b"\x85" * DEEP + b"t.",
    "marks above a long stack": b"N" * DEEP + b"(t0" * DEEP + b".",
    # A mebibyte of digits, hashed or multiplied again and again.
    "a long number as a key": b"\x8b"
    + struct.pack("<i", 1 << 20)
    + b"\x01" * (1 << 20)
    + b"q\x00}q\x01"
    + b"h\x01h\x00Ns0" * 100_000
    + b".",
    # {"k": itself}, whose names would grow without end.
    "a mapping within itself": b"}q\x00X\x01\x00\x00\x00kh\x00s.",
    "a long name, used often": b"}q\x00X\x00\x00\x10\x00"
    + b"k" * (1 << 20)
    + b"q\x01"
    + b"h\x00h\x01]s0" * 50_000
    + b".",
}


# 300,000 places, each of which repeats the name in front of it.
PICKLES["a long name before many"] = (
    b"}(X" + struct.pack("<I", 4000) + b"k" * 4000 + b"](" + b")" * DEEP + b"eu."
)


def write_pickle(path, pickled):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + pickled)


@pytest.mark.parametrize("pickled", PICKLES.values(), ids=list(PICKLES))
def test_no_pickle_ends_or_hangs_the_process(pickled, tmp_path):
    write_pickle(tmp_path / "deep.pt", pickled)
    code = (
        "import sys\n"
        "from jaxcirc.checkpoints.formats import open_torch\n"
        "try:\n"
        "    open_torch(sys.argv[1])\n"
        "except ValueError as error:\n"
        "    sys.exit(str(error) == '')\n"
        "sys.exit(3)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "deep.pt")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr[-500:]


@pytest.mark.parametrize("kind", ["safetensors", "npz", "pt", "bin"])
def test_what_is_no_file_is_refused_instead_of_waited_for(kind, tmp_path):
    path = tmp_path / f"pipe.{kind}"
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match=f"pipe.{kind} is no ordinary file"):
        tb.open_tensors(str(path))
    with pytest.raises(CheckpointError, match="is no ordinary file"):
        tb.load_llama2c(str(path))
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(CheckpointError, match=r"config.json is no ordinary file"):
        tb.load(str(tmp_path))


def taken(read):
    """The most MiB that Python took while something was refused."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as refused:
            read()
        return tracemalloc.get_traced_memory()[1] / 2**20, str(refused.value)
    finally:
        tracemalloc.stop()


def test_tensors_may_not_share_their_bytes(tmp_path):
    path = tmp_path / "shared.safetensors"
    one = {"dtype": "F32", "shape": [256, 4], "data_offsets": [0, 4096]}
    header = json.dumps({f"layer{i}": one for i in range(1000)}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4096))
    with pytest.raises(CheckpointError, match="'layer0' and 'layer1' lie over each"):
        tb.open_tensors(str(path))


def test_a_pickle_of_many_views_of_little_is_refused(tmp_path):
    """Ties and shared layers are as they were; thousands of them are not."""
    row = np.zeros((512, 1024), np.float32)
    for count, fits in ((12, True), (300, False)):
        pickled = made.torch_pickle({f"layer{i}": row for i in range(count)})
        for index in range(1, count):
            name = str(index)
            old = b"X" + struct.pack("<I", len(name)) + name.encode() + b"X\x03"
            pickled = pickled.replace(old, b"X\x01\x00\x00\x000X\x03")
        with zipfile.ZipFile(tmp_path / "views.pt", "w") as archive:
            archive.writestr("archive/data.pkl", pickled)
            archive.writestr("archive/data/0", row.tobytes())
        if fits:
            assert len(tb.open_tensors(str(tmp_path / "views.pt"))) == count
        else:
            with pytest.raises(CheckpointError, match="bytes that stand for"):
                tb.open_tensors(str(tmp_path / "views.pt"))


def npy(header, body=b""):
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header)) + header + body


def test_the_length_of_a_header_is_not_believed(tmp_path):
    path = tmp_path / "header.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy(b" " * (50 << 20)))
    memory, message = taken(lambda: tb.open_tensors(str(path)))
    assert "header of 52,428,800 bytes" in message
    assert memory < 5


def test_what_unfolds_too_far_is_refused_before_it_does(tmp_path):
    path = tmp_path / "bomb.npz"
    shape = (100 << 20,)
    header = str({"descr": "|u1", "fortran_order": False, "shape": shape}).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy(header, bytes(shape[0])))
    memory, message = taken(lambda: tb.open_tensors(str(path)))
    assert "would become" in message
    assert memory < 5
    # Zeros that somebody has compressed are an ordinary file.
    np.savez_compressed(tmp_path / "zeros.npz", a=np.zeros((500, 1000)))
    assert not tb.open_tensors(str(tmp_path / "zeros.npz"))["a"].any()


def test_deep_and_long_json_is_refused(tmp_path):
    made.write_neox(tmp_path)
    path = tmp_path / "config.json"
    path.write_text("[" * 200_000)
    with pytest.raises(CheckpointError, match="nested too deeply"):
        tb.load(str(tmp_path))
    path.write_text("[" + "0," * 4_000_000 + "0]")
    with pytest.raises(CheckpointError, match="more than 4,000,000 values"):
        tb.load(str(tmp_path))
    path.write_text(" " * 32_000_001)
    with pytest.raises(CheckpointError, match="longer than any checkpoint's"):
        tb.load(str(tmp_path))


def test_a_llama2c_file_of_countless_layers_is_refused(tmp_path):
    path = tmp_path / "layers.bin"
    path.write_bytes(struct.pack("<7i", 2, 2, 20_000, 1, 1, 2, 2) + bytes(1000))
    with pytest.raises(CheckpointError, match="is no llama2.c file: its header is"):
        tb.load(str(path))


def test_an_archive_of_too_many_members_is_refused(tmp_path):
    path = tmp_path / "many.npz"
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, 16_000_001, 0, 0)
    path.write_bytes(bytes(16_000_001) + end)
    with pytest.raises(CheckpointError, match="more members than any checkpoint"):
        tb.open_tensors(str(path))
