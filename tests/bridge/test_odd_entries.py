"""One entry of another kind is an error when it is asked for, and no sooner."""

import struct
import zipfile

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

import tracr_bridge as tb
from jaxcirc.checkpoints import CheckpointError

from . import made

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)


def by_name(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


# What a pickle may hold beside tensors, as its instructions.
BESIDE = {
    "a set": b"\x8f(K\x01\x90",
    "bytes": b"C\x02ab",
    "a NumPy number": b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n("
    + by_name("f8")
    + b"\x89\x88tRC\x08\x00\x00\x00\x00\x00\x00\x00\x00tR",
    "torch.dtype": b"ctorch\nfloat32\n",
    "torch.device": b"ctorch\ndevice\n(" + by_name("cpu") + b"tR",
    "a defaultdict": b"ccollections\ndefaultdict\n(cbuiltins\nlist\ntR",
    "a Namespace": b"cargparse\nNamespace\n)\x81}" + by_name("lr") + b"K\x01sb",
    "a tuple as a key": b"}K\x01K\x02\x86K\x03s",
}


def pickle_with(pickled):
    """A `.pt`'s pickle of one weight, with something beside it."""
    return made.torch_pickle({"w": WEIGHT})[:-2] + by_name("odd") + pickled + b"u."


def write_pt(path, pickled, storages):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for index, storage in enumerate(storages):
            archive.writestr(f"archive/data/{index}", storage)


@pytest.mark.parametrize("pickled", BESIDE.values(), ids=list(BESIDE))
def test_what_is_no_tensor_is_left_out(pickled, tmp_path):
    write_pt(tmp_path / "a.pt", pickle_with(pickled), [WEIGHT.tobytes()])
    tensors = tb.open_tensors(str(tmp_path / "a.pt"))
    assert set(tensors) == {"w"}
    np.testing.assert_array_equal(tensors["w"], WEIGHT)


def odd_files(folder):
    """Files of every kind with a weight `w` and something else, `odd`."""
    for name, odd in {
        "text": np.array("run 7"),
        "object": np.array({"a": 1}, dtype=object),
        "complex": np.ones(3, np.complex64),
        "structured": np.zeros(2, [("a", "f4")]),
    }.items():
        np.savez(folder / f"{name}.npz", w=WEIGHT, odd=odd)
    complex_ = {"w": WEIGHT, "odd": np.ones(3, np.complex64)}
    safetensors.numpy.save_file(complex_, str(folder / "complex.safetensors"))
    two = made.torch_pickle({"w": WEIGHT, "odd": np.ones(3, np.float32)})
    both = [WEIGHT.tobytes(), bytes(24)]
    kind = b"ctorch\nFloatStorage\nX\x01\x00\x00\x001"
    changed = two.replace(kind, kind.replace(b"Float", b"ComplexFloat"))
    assert changed != two
    write_pt(folder / "complex.pt", changed, both)
    array = b"cnumpy.core.multiarray\n_reconstruct\n(K\x01tR"
    write_pt(folder / "array.pt", pickle_with(array), both)
    return sorted(folder.iterdir())


def test_an_odd_entry_spoils_no_file(tmp_path):
    for path in odd_files(tmp_path):
        tensors = tb.open_tensors(str(path))
        assert set(tensors) == {"w", "odd"}, path
        np.testing.assert_array_equal(tensors["w"], WEIGHT)
        with pytest.raises(CheckpointError, match=r"'odd' is .*(read|numbers)"):
            tensors["odd"]


def test_odd_entries_may_be_ignored_and_not_used(tmp_path):
    weights = {
        "embed": np.zeros((7, 6), np.float32),
        "h.0.qkv": np.zeros((6, 18), np.float32),
        "h.0.out": np.zeros((6, 6), np.float32),
        "head": np.zeros((6, 7), np.float32),
    }
    config = tb.from_transformer_lens(
        {
            "embed.W_E": weights["embed"],
            **{f"blocks.0.attn.W_{x}": np.zeros((2, 6, 3), np.float32) for x in "QKV"},
            "blocks.0.attn.W_O": np.zeros((2, 3, 6), np.float32),
            "unembed.W_U": weights["head"],
        },
        norm="none",
        positions="none",
    ).config
    rules = [
        tb.rule("embed", "W_E", "v m -> v m"),
        tb.rule("h.{layer}.qkv", "attn.W_Q attn.W_K attn.W_V", "m (w h d) -> w m h d"),
        tb.rule("h.{layer}.out", "attn.W_O", "(h d) m -> h d m"),
        tb.rule("head", "W_U", "m v -> m v"),
    ]
    path = str(tmp_path / "a.npz")
    np.savez(path, odd=np.array("run 7"), **weights)
    assert not tb.from_tensors(path, config, rules, ignore=["odd"]).W_U.any()
    with pytest.raises(CheckpointError, match="holds odd, which.*by `ignore`"):
        tb.from_tensors(path, config, rules)
    np.savez(path, **weights | {"head": np.array("none")})
    with pytest.raises(CheckpointError, match="'head' is of type <U4; only numbers"):
        tb.from_tensors(path, config, rules)


def test_bfloat16_comes_back_from_numpy_archives(tmp_path):
    half = WEIGHT.astype(ml_dtypes.bfloat16)
    np.savez(tmp_path / "half.npz", w=half, big=WEIGHT.astype(">f4"))
    tensors = tb.open_tensors(str(tmp_path / "half.npz"))
    assert tensors.dtypes["w"] == jnp.bfloat16
    np.testing.assert_array_equal(tensors["w"], half)
    assert tensors.dtypes["big"] == np.dtype("=f4")
    np.testing.assert_array_equal(tensors["big"], WEIGHT)


def test_unsigned_numbers_are_read(tmp_path):
    wide = {f"u{n}": np.arange(3, dtype=f"u{n}") for n in (2, 4, 8)}
    safetensors.numpy.save_file(wide, str(tmp_path / "a.safetensors"))
    for name, array in tb.open_tensors(str(tmp_path / "a.safetensors")).items():
        np.testing.assert_array_equal(array, wide[name])


def test_flipped_weights_of_a_torch_file_are_found_out(tmp_path):
    path = tmp_path / "a.pt"
    made.torch_file(path, {"w": WEIGHT})
    data = bytearray(path.read_bytes())
    place = data.index(WEIGHT.tobytes())
    data[place + 9] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="is damaged.*CRC"):
        tb.open_tensors(str(path))["w"]


@pytest.mark.parametrize("nest", ["net", "params", "weights", "state_dict.model"])
def test_weights_are_found_where_scripts_keep_them(nest, tmp_path):
    state = made.torch_pickle({"w": WEIGHT})[2:-1]
    beside = b"X\x05\x00\x00\x00epochK\x07"
    for key in reversed(nest.split(".")):
        state = b"}(" + by_name(key) + state + beside + b"u"
    write_pt(tmp_path / "a.pt", b"\x80\x02" + state + b".", [WEIGHT.tobytes()])
    assert set(tb.open_tensors(str(tmp_path / "a.pt"))) == {"w"}
