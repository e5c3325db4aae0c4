import functools
import json
import time

import numpy as np
import pytest
import xarray as xr

from jaxcirc.study._store import _cell as cells, _join, _later

ORIGIN = {"measurement": "m", "id": "m", "versions": '{"jax": "1"}'}


def cell(step: int, **attrs: str) -> xr.Dataset:
    rng = np.random.default_rng(step)
    values = {
        f"q{i}": (
            ("seed", "layer", "head"),
            rng.normal(size=(1, 2, 3)).astype(np.float32),
            {"units": "nats", "long_name": "a number", "chance": 0.5},
        )
        for i in range(3)
    }
    values["good"] = (("seed",), np.array([step % 2 == 0]), {"units": ""})
    coords = {"seed": [0], "layer": [0, 1], "head": [0, 1, 2], "part": ["a", "bc"]}
    return xr.Dataset(values, coords, ORIGIN | {"basis": f'{{"n": {step}}}'} | attrs)


def join(files: dict, **options) -> xr.Dataset | None:
    """Cells given as bytes, which are read as files would be."""
    reads = {step: lambda data=data: data for step, data in files.items()}
    return _join.join(reads, **options)


def test_a_cell_comes_back_as_it_was():
    xr.testing.assert_identical(cells.unpack(cells.pack(cell(3))), cell(3))
    failed = xr.Dataset(attrs=ORIGIN | {"failed": "too small"})
    xr.testing.assert_identical(cells.unpack(cells.pack(failed)), failed)


def test_other_readers_open_a_cell(tmp_path):
    path = tmp_path / "cell.nc"
    path.write_bytes(cells.pack(cell(0)))
    with xr.open_dataset(path, engine="h5netcdf") as found:
        xr.testing.assert_equal(found.load(), cell(0))


def test_no_flipped_bit_is_another_number():
    data, rng = cells.pack(cell(0)), np.random.default_rng(0)
    for place, bit in zip(
        rng.integers(len(data), size=200), rng.integers(8, size=200), strict=True
    ):
        changed = bytearray(data)
        changed[place] ^= 1 << bit
        with pytest.raises(ValueError, match="checksum|not those"):
            cells.unpack(bytes(changed))


def test_joined_cells_are_the_single_ones():
    files = {step: cells.pack(cell(step)) for step in (0, 4, 10)}
    joined = join(files)
    assert joined["step"].values.tolist() == [0, 4, 10]
    for step in files:
        one = joined.sel(step=step).drop_vars("step")
        xr.testing.assert_equal(one, cell(step).drop_attrs())
        for name in one.data_vars:
            assert one[name].attrs == cell(step)[name].attrs
            assert one[name].dtype == cell(step)[name].dtype


def test_cells_with_text_or_of_an_older_format_are_joined_too():
    named = [cell(s).assign(word=("seed", np.array([f"w{s}"]))) for s in (0, 1)]
    joined = join({s: cells.pack(one) for s, one in enumerate(named)})
    assert joined["word"].values.ravel().tolist() == ["w0", "w1"]
    # Without seal, layout and format, as they were written before.
    old = bytes(cell(1).to_netcdf(engine="h5netcdf"))
    joined = join({0: cells.pack(cell(0)), 1: old})
    xr.testing.assert_equal(joined.sel(step=1).drop_vars("step"), cell(1).drop_attrs())


def test_what_single_cells_say_is_gathered():
    files = {
        0: cell(0),
        1: xr.Dataset(attrs=ORIGIN | {"failed": "no room"}),
        2: cell(2, failed="weights", non_finite="W_E"),
        3: cell(3, versions='{"jax": "2"}'),
    }
    attrs = join({step: cells.pack(one) for step, one in files.items()}).attrs
    assert json.loads(attrs["failed"]) == {"1": "no room", "2": "weights"}
    assert json.loads(attrs["non_finite"]) == {"2": "W_E"}
    assert json.loads(attrs["mixed"]) == {"jax": {"1": 3, "2": 1}}


def test_a_damaged_cell_among_many_is_named_by_its_step():
    files = {step: cells.pack(cell(step)) for step in range(3)}
    files[2] = files[2][:-1]
    with pytest.raises(_join.DamagedCell, match="it has no checksum") as caught:
        join(files)
    assert caught.value.step == 2


def test_only_cells_of_a_wanted_basis_are_joined():
    files = {step: cells.pack(cell(step)) for step in range(4)}
    even = lambda step, basis: json.loads(basis)["n"] % 2 == 0
    assert join(files, keep=even)["step"].values.tolist() == [0, 2]
    assert join(files, keep=lambda step, basis: False) is None
    assert join({}) is None


def large(step: int) -> xr.Dataset:
    """A cell with arrays that are worth reading later, of numbers and truth values."""
    size = (1, 200, _later.LATER // 200 + 1)
    values = np.random.default_rng(step).normal(size=size).astype(np.float32)
    dims = ("seed", "source", "destination")
    score = (dims, values, {"units": "nats"})
    return cell(step).assign(score=score, mask=(dims, values > 0))


def test_large_arrays_are_read_where_they_are_used():
    reads = []

    def read(step):
        reads.append(step)
        return data[step]

    data = {step: cells.pack(large(step)) for step in (0, 4, 8)}
    joined = _join.join({step: functools.partial(read, step) for step in data})
    # Each was compared with its checksum, and the first one decoded.
    assert reads == [0, 4, 8]
    reads.clear()
    np.testing.assert_array_equal(joined["q0"].values[1], cell(4)["q0"].values)
    assert joined["score"].shape == (3, *large(0)["score"].shape)
    assert joined["score"].dtype == np.float32
    assert joined["score"].attrs == {"units": "nats"}
    assert not reads
    one = joined["score"].sel(step=4).drop_vars("step")
    xr.testing.assert_equal(one, large(4)["score"].drop_attrs())
    assert set(reads) == {4}
    reads.clear()
    part = joined["score"].isel(step=slice(1, None), seed=0, source=[3, 1])
    whole = np.stack([large(s)["score"].values[0][[3, 1]] for s in (4, 8)])
    np.testing.assert_array_equal(part.values, whole)
    assert set(reads) == {4, 8}
    assert joined["mask"].dtype == bool
    np.testing.assert_array_equal(joined["mask"].values[2], large(8)["mask"].values)
    assert joined["mask"].isel(step=[]).values.shape[0] == 0


def test_a_cell_that_changes_while_a_run_is_open_is_not_mixed_in():
    data = {step: cells.pack(large(step)) for step in (0, 4)}
    files = {step: lambda step=step: data[step] for step in data}
    joined = _join.join(files)
    flipped = bytearray(data[4])
    flipped[len(flipped) // 2] ^= 1
    data[4] = bytes(flipped)
    with pytest.raises(ValueError, match="not those that were written"):
        joined["score"].values  # noqa: B018
    data[4] = cells.pack(large(5))
    with pytest.raises(ValueError, match="has changed since the run was opened"):
        joined["score"].values  # noqa: B018


def test_a_thousand_cells_take_seconds():
    """Processor time: a fifth of what decoding each cell's attributes would take."""
    one = cells.pack(cell(0))
    began = time.process_time()
    for _ in range(20):
        cells.unpack(one)
    decoding = (time.process_time() - began) / 20
    began = time.process_time()
    join(dict.fromkeys(range(200), one))
    assert (time.process_time() - began) / 200 < decoding / 5
