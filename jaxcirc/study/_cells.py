"""What a measurement gave at one step, as a file: netCDF with a checksum behind it.

Any netCDF reader opens such a file. Many are read at once without decoding the
attributes of each: those whose layout is the same are stacked as they are.
"""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import xarray as xr
from h5py import h5a, h5d, h5f, h5s  # pyright: ignore[reportAttributeAccessIssue]

from .._core import digest_of, is_sealed, seal, unseal

# Format 1 had neither a checksum nor a basis; such cells are still read.
FORMAT = "2"
# In attributes of results, this word stands for the step of a cell without one.
ONCE = "once"
# (step, basis) -> whether a cell is to be taken.
Keep = Callable[[int | None, str | None], bool]
# Attributes that differ from cell to cell, and are read of each.
_OWN = ("basis", "failed", "traceback", "non_finite", "versions", "artefacts")


class DamagedCell(ValueError):
    """A file of several is not what was written.

    Attributes:
        step: The step of its cell; None where it has none.
    """

    def __init__(self, step: int | None, what: str):
        self.step = step
        super().__init__(what)


def pack(cell: xr.Dataset) -> bytes:
    """A cell as the bytes of a file."""
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
    """The attributes in which cells differ: `basis`, `versions`, `failed`, `layout`.

    Raises:
        ValueError: the file is not what was written.
    """
    return _read(data, None)[0]


def join(
    files: Mapping[int | None, bytes], *, keep: Keep | None = None
) -> xr.Dataset | None:
    """The cells of several steps as one dataset with an axis `step`.

    The single cell of what runs once, whose step is None, gets no such axis.

    Those without a number are left out of it. `attrs["failed"]` and
    `attrs["non_finite"]` say of which steps, and why.

    Args:
        files: Step -> file.
        keep: (step, its basis or None) -> whether to take that cell; all if None.

    Returns:
        The dataset, or None if there is no cell to take.

    Raises:
        DamagedCell: a file is not what was written.
        ValueError: cells of older formats do not fit together.
    """
    own: dict[int | None, dict[str, str]] = {}
    arrays: dict[int | None, dict[str, np.ndarray]] = {}
    whole: dict[int | None, xr.Dataset] = {}
    first: tuple[str, xr.Dataset] | None = None
    for step, data in files.items():
        try:
            attributes, found = _read(data, first)
            if keep is not None and not keep(step, attributes.get("basis")):
                continue
            cell = None if found is not None else unpack(data)
        except ValueError as error:
            raise DamagedCell(step, str(error)) from error
        layout = attributes.pop("layout", None)
        own[step] = attributes
        if cell is None:
            arrays[step] = found or {}
            continue
        for name in attributes:
            cell.attrs.pop(name)
        whole[step] = cell
        if first is None and layout is not None and _is_numeric(cell):
            first = (layout, cell)
            arrays[step] = {str(k): v.values for k, v in cell.data_vars.items()}
    if not own:
        return None
    if None in own:
        return whole[None].assign_attrs(_gathered(own))
    joined = _joined(whole, arrays, first[1] if first else None)
    return joined.assign_attrs(_gathered(own))


def _joined(
    whole: Mapping[Any, xr.Dataset],
    arrays: Mapping[Any, dict[str, np.ndarray]],
    first: xr.Dataset | None,
) -> xr.Dataset:
    """Stack what has the first cell's layout; join the rest, of older formats."""
    others = {s: c for s, c in whole.items() if s not in arrays and c.data_vars}
    parts = []
    if first is not None:
        steps = sorted(arrays)
        stacked = {}
        for name, array in first.data_vars.items():
            values = np.stack([arrays[step][str(name)] for step in steps])
            # Truth values are bytes in the file.
            values = values.astype(array.dtype)
            stacked[name] = (("step", *array.dims), values, array.attrs)
        coords = {"step": steps, **first.coords}
        parts.append(xr.Dataset(stacked, coords, first.attrs))
    for step, cell in others.items():
        parts.append(cell.expand_dims(step=[step]))
    if not parts:
        return xr.Dataset(attrs=next(iter(whole.values())).attrs)
    if len(parts) == 1:
        return parts[0]
    made = xr.concat(
        parts, "step", data_vars="all", join="exact", combine_attrs="override"
    )
    return made.sortby("step")


def _gathered(own: Mapping[int | None, Mapping[str, str]]) -> dict[str, str]:
    """Attributes of single cells as attributes of all of them."""
    gathered = {}
    for name in ("failed", "non_finite"):
        told = {ONCE if p is None else p: a[name] for p, a in own.items() if name in a}
        if told:
            gathered[name] = json.dumps(told)
    versions: dict[str, dict[str, int]] = {}
    for attributes in own.values():
        for package, version in json.loads(attributes.get("versions", "{}")).items():
            counts = versions.setdefault(package, {})
            counts[version] = counts.get(version, 0) + 1
    if mixed := {k: counts for k, counts in versions.items() if len(counts) > 1}:
        gathered["mixed"] = json.dumps(mixed)
    first = next((a["versions"] for a in own.values() if "versions" in a), None)
    return gathered | ({} if first is None else {"versions": first})


def _is_numeric(cell: xr.Dataset) -> bool:
    """Whether all arrays hold numbers that need no decoding, and there are some."""
    kinds = [array.dtype.kind for array in cell.data_vars.values()]
    return bool(kinds) and set(kinds) <= set("fiub")


def _layout(cell: xr.Dataset) -> str:
    """A short name for all of a cell but its numbers."""
    array = lambda x: [list(x.dims), str(x.dtype), list(x.shape), _plain(x.attrs)]
    variables = {str(k): array(v) for k, v in cell.data_vars.items()}
    coords = {str(k): [array(v), v.values.tolist()] for k, v in cell.coords.items()}
    return digest_of([variables, coords])


def _plain(attrs: Mapping) -> dict[str, str]:
    """Attributes as text."""
    return {str(k): repr(v) for k, v in attrs.items()}


def _read(
    data: bytes, first: tuple[str, xr.Dataset] | None
) -> tuple[dict[str, str], dict[str, np.ndarray] | None]:
    """A cell's own attributes, and its numbers if it has the first one's layout."""
    if not is_sealed(data):
        return {k: v for k, v in unpack(data).attrs.items() if k in _OWN}, None
    file = h5f.open_file_image(unseal(data))
    try:
        attributes = _attributes(file, (*_OWN, "layout"))
        if first is None or attributes["layout"] != first[0]:
            return attributes, None
        return attributes, {str(k): _array(file, str(k)) for k in first[1].data_vars}
    finally:
        file.close()


def _array(file: h5f.FileID, name: str) -> np.ndarray:
    """The numbers of one array of a file."""
    stored = h5d.open(file, name.encode())
    values = np.empty(stored.shape, stored.dtype)
    stored.read(h5s.ALL, h5s.ALL, values)
    return values


def _attributes(file: h5f.FileID, names: Sequence[str]) -> dict[str, str]:
    """Some attributes of a file, those that it has."""
    attributes = h5py.File(file).attrs
    return {
        name: str(attributes[name]) for name in names if h5a.exists(file, name.encode())
    }
