"""The cells of many steps as one dataset, its large arrays read where they are used."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from ._cell import Known, has_only_numbers, read_known, unpack
from ._later import LATER, Cells

# What stands for the step of a cell that has none, in attributes of results.
ONCE = "once"
# Gives the bytes of a cell's file, again whenever it is called.
Read = Callable[[], bytes]
# (step, basis) -> whether a cell is to be taken.
Keep = Callable[[int | None, str | None], bool]


class DamagedCell(ValueError):
    """One of several files is not what was written.

    Attributes:
        step: Which.
    """

    def __init__(self, step: int | None, what: str):
        self.step = step
        super().__init__(what)


class _Pattern(NamedTuple):
    """The first cell of numbers, whose layout most others share."""

    layout: str
    cell: xr.Dataset

    @property
    def now(self) -> list[str]:
        """Variables that are small enough to be read with the attributes."""
        return [str(k) for k, v in self.cell.data_vars.items() if v.nbytes <= LATER]


class _Taken:
    """Cells as they are read: those of the pattern's layout undecoded, others whole."""

    def __init__(self):
        self.pattern: _Pattern | None = None
        self.own: dict[int | None, dict[str, str]] = {}
        self.reads: dict[Any, Read] = {}
        self.alike: dict[Any, Known] = {}
        self.whole: dict[int | None, xr.Dataset] = {}

    def add(self, step: int | None, read: Read, keep: Keep | None) -> None:
        """Read a cell, and take it if it is to be kept.

        Raises:
            ValueError: the file is not what was written.
            OSError: it cannot be read.
        """
        data = read()
        pattern = self.pattern
        known = (
            read_known(data, pattern.layout, pattern.now)
            if pattern
            else read_known(data)
        )
        if keep is not None and not keep(step, known.attributes.get("basis")):
            return
        own = {k: v for k, v in known.attributes.items() if k != "layout"}
        self.own[step], self.reads[step] = own, read
        if known.arrays is not None:
            self.alike[step] = known
            return
        cell = unpack(data)
        cell.attrs = {k: v for k, v in cell.attrs.items() if k not in own}
        layout = known.attributes.get("layout")
        if self.pattern is None and layout is not None and has_only_numbers(cell):
            self.pattern = _Pattern(layout, cell)
            arrays = {name: cell[name].values for name in self.pattern.now}
            self.alike[step] = known._replace(arrays=arrays)
        else:
            self.whole[step] = cell

    def only(self) -> xr.Dataset:
        """The cell of what runs once."""
        return self.pattern.cell if self.pattern else self.whole[None]

    def joined(self) -> xr.Dataset:
        """All of them along `step`; without variables if none has a number."""
        parts = [] if self.pattern is None else [self._stacked(self.pattern)]
        some = {step: cell for step, cell in self.whole.items() if cell.data_vars}
        parts += [cell.expand_dims(step=[step]) for step, cell in some.items()]
        if not parts:
            return xr.Dataset(attrs=next(iter(self.whole.values())).attrs)
        if len(parts) == 1:
            return parts[0]
        # Layouts differ, so that everything is read and aligned by its labels.
        made = xr.concat(
            parts, "step", data_vars="all", join="exact", combine_attrs="override"
        )
        return made.sortby("step")

    def _stacked(self, pattern: _Pattern) -> xr.Dataset:
        steps = sorted(self.alike)
        cells = Cells(tuple((self.reads[s], self.alike[s].seal) for s in steps))
        stacked = {}
        for key, array in pattern.cell.data_vars.items():
            name = str(key)
            if name in pattern.now:
                values = np.stack([(self.alike[s].arrays or {})[name] for s in steps])
                # Truth values are bytes in the file.
                values = values.astype(array.dtype)
            else:
                values = cells.later(name, array.shape, array.dtype)
            stacked[name] = xr.Variable(("step", *array.dims), values, array.attrs)
        coords = {"step": steps, **pattern.cell.coords}
        return xr.Dataset(stacked, coords, pattern.cell.attrs)


def join(
    files: Mapping[int | None, Read], *, keep: Keep | None = None
) -> xr.Dataset | None:
    """The cells of several steps as one dataset with an axis `step`.

    The single cell of what runs once, whose step is None, gets no such axis.

    Those without a number are left out of it. `attrs["failed"]` and
    `attrs["non_finite"]` say of which steps, and why.

    Args:
        files: Step -> how to read its file.
        keep: (step, its basis or None) -> whether to take that cell; all if None.

    Returns:
        The dataset, or None if there is no cell to take.

    Raises:
        DamagedCell: a file is not what was written.
        ValueError: cells of older formats do not fit together.
    """
    taken = _Taken()
    for step, read in files.items():
        try:
            taken.add(step, read, keep)
        except (OSError, ValueError) as error:
            raise DamagedCell(step, str(error)) from error
    if not taken.own:
        return None
    joined = taken.only() if None in taken.own else taken.joined()
    return joined.assign_attrs(_gathered(taken.own))


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
