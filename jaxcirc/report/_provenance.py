"""Where the numbers come from: machines, versions and times, sitting by sitting."""

import json
from typing import Any

import xarray as xr

from ._results import join_words

_HEADER = ["sitting begun", "training", "measuring", "cells", "machine", "versions"]


def origin_rows(tree: xr.DataTree) -> list[tuple[str, str]]:
    """Pairs of a name and a value for what holds for the whole run.

    Times are summed over sittings; what is not known is left out.
    """
    sittings, first = _sittings(tree), _loads(tree, "provenance")
    timing = _loads(tree, "timing")
    if sittings:
        timing = {
            name: sum(sitting.get(name, 0) for sitting in sittings)
            for name in ("training_s", "measuring_s", "cells")
        }
    rows = [("begun", first.get("started", "")), ("machine", _machine(first))]
    if timing:
        rows += [
            ("training", _seconds(timing.get("training_s", 0))),
            (
                "measuring",
                f"{_seconds(timing.get('measuring_s', 0))} for "
                f"{timing.get('cells', 0):,} cells",
            ),
        ]
    rows.append(("Python", first.get("python", "")))
    rows += _versions([first, *sittings]).items()
    rows.append(("data hash", _loads(tree, "identity").get("data") or ""))
    return [(name, value) for name, value in rows if value]


def sitting_table(tree: xr.DataTree) -> tuple[list[str], list[tuple]] | None:
    """A header and a row for each sitting; None where there was one."""
    sittings = _sittings(tree)
    # A single sitting is told already by the rows on the whole run.
    if len(sittings) < 2:
        return None
    rows, before = [], {}
    for sitting in sittings:
        versions = sitting.get("versions", {})
        # Only what is new, or a change would drown in versions that stayed.
        changed = {k: v for k, v in versions.items() if v != before.get(k)}
        told = ", ".join(f"{name} {version}" for name, version in changed.items())
        rows.append(
            (
                sitting.get("began", ""),
                _seconds(sitting.get("training_s", 0)),
                _seconds(sitting.get("measuring_s", 0)),
                f"{sitting.get('cells', 0):,}",
                _machine(sitting.get("machine", {})),
                told or "as before",
            )
        )
        before = versions
    return _HEADER, rows


def _sittings(tree: xr.DataTree) -> list[dict[str, Any]]:
    """The records of all sittings, in order."""
    return json.loads(tree.attrs.get("sittings", "[]"))


def _loads(tree: xr.DataTree, name: str) -> dict[str, Any]:
    """A record of the tree, or an empty one of an older run."""
    return json.loads(tree.attrs.get(name, "{}"))


def _versions(places: list[dict[str, Any]]) -> dict[str, str]:
    """Each package's versions in the order in which they were used."""
    found: dict[str, list[str]] = {}
    for place in places:
        for name, version in place.get("versions", {}).items():
            used = found.setdefault(name, [])
            if version not in used:
                used.append(version)
    return {name: join_words(used) for name, used in found.items()}


def _machine(about: dict[str, Any]) -> str:
    """A machine in words: its device, cores and system."""
    cores = f"{about['cores']} cores" if about.get("cores") else ""
    parts = (about.get("device"), cores, about.get("system"))
    return ", ".join(part for part in parts if part)


def _seconds(seconds: float) -> str:
    """A time in seconds, with a tenth."""
    return f"{seconds:,.1f} s"
