"""What a measurement gave at one step, as a file: netCDF with a checksum behind it.

Any netCDF reader opens such a file. Many are read at once without decoding the
attributes of each: those whose layout is the same are stacked as they are.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import h5py
import numpy as np
import xarray as xr
from h5py import h5a, h5d, h5f, h5s  # pyright: ignore[reportAttributeAccessIssue]

from ..._core import digest_of, is_sealed, seal, seal_of, unseal

# Format 1 had neither a checksum nor a basis; such cells are still read.
FORMAT = "2"
# Attributes that differ from cell to cell, and are read of each.
_OWN = ("basis", "failed", "traceback", "non_finite", "versions", "artefacts")


def pack(cell: xr.Dataset) -> bytes:
    """The file of a cell."""
    attrs = cell.attrs | {"format": FORMAT, "layout": _layout(cell)}
    return seal(bytes(cell.assign_attrs(attrs).to_netcdf(engine="h5netcdf")))


def unpack(data: bytes) -> xr.Dataset:
    """The cell of a file, with its attributes.

    Raises:
        ValueError: the file is not what was written.
    """
    sealed = is_sealed(data)
    # Checked before HDF5 sees it, which would follow a damaged file anywhere.
    body = unseal(data) if sealed else data
    try:
        cell = xr.load_dataset(io.BytesIO(body), engine="h5netcdf")
    except Exception as error:
        raise ValueError(f"it is no netCDF file ({error})") from error
    if cell.attrs.pop("format", "1") != "1" and not sealed:
        raise ValueError("it has no checksum at its end")
    cell.attrs.pop("layout", None)
    return cell


def own_attributes(data: bytes) -> dict[str, str]:
    """What is particular to a cell: its `basis`, `versions`, why it `failed`, `layout`.

    Raises:
        ValueError: the file is not what was written.
    """
    return read_known(data).attributes


def has_only_numbers(cell: xr.Dataset) -> bool:
    """Whether the file has numbers, and they are the cell's own without decoding."""
    kinds = [array.dtype.kind for array in cell.data_vars.values()]
    return bool(kinds) and set(kinds) <= set("fiub")


def _layout(cell: xr.Dataset) -> str:
    """A short name for all of a cell but its numbers."""
    array = lambda x: [list(x.dims), str(x.dtype), list(x.shape), _plain(x.attrs)]
    variables = {str(k): array(v) for k, v in cell.data_vars.items()}
    coords = {str(k): [array(v), v.values.tolist()] for k, v in cell.coords.items()}
    return digest_of([variables, coords])


def _plain(attrs: Mapping) -> dict[str, str]:
    return {str(k): repr(v) for k, v in attrs.items()}


class Known(NamedTuple):
    """What is read of a cell without decoding it.

    Args:
        attributes: Those of its own, and `layout`.
        seal: Its checksum; empty in older formats.
        arrays: Its numbers by name, where its layout is the one that is known.
    """

    attributes: dict[str, str]
    seal: str
    arrays: dict[str, np.ndarray] | None


def read_known(
    data: bytes, layout: str | None = None, names: Iterable[str] = ()
) -> Known:
    """A cell's own attributes, and its numbers where its layout is known.

    Args:
        data: The file.
        layout: That of a cell which has been decoded.
        names: Variables of that cell to read here.

    Raises:
        ValueError: the file is not what was written.
    """
    if not is_sealed(data):
        return Known(
            {k: v for k, v in unpack(data).attrs.items() if k in _OWN}, "", None
        )
    file = h5f.open_file_image(unseal(data))
    try:
        attributes = _attributes(file, (*_OWN, "layout"))
        if layout is None or attributes["layout"] != layout:
            return Known(attributes, seal_of(data), None)
        arrays = {name: _array(file, name) for name in names}
        return Known(attributes, seal_of(data), arrays)
    finally:
        file.close()


def read_array(data: bytes, name: str) -> np.ndarray:
    """One variable of a cell, as it is stored.

    Args:
        data: The file.
        name: The variable.

    Raises:
        ValueError: the file is not what was written.
    """
    file = h5f.open_file_image(unseal(data))
    try:
        return _array(file, name)
    finally:
        file.close()


def _array(file: h5f.FileID, name: str) -> np.ndarray:
    stored = h5d.open(file, name.encode())
    values = np.empty(stored.shape, stored.dtype)
    stored.read(h5s.ALL, h5s.ALL, values)
    return values


def _attributes(file: h5f.FileID, names: Sequence[str]) -> dict[str, str]:
    attributes = h5py.File(file).attrs
    return {
        name: str(attributes[name]) for name in names if h5a.exists(file, name.encode())
    }
