"""The `metrics` section of a study: rows of metric, components, split and reference."""

from typing import Any


def gather_metrics(plain: dict[str, Any]) -> dict[str, Any]:
    """The section as measurements: one for all rows that differ in the metric alone.

    So a checkpoint's components are computed once for all of them.

    Args:
        plain: A study as read; its `metrics` go to the end of `measure`.

    Raises:
        ValueError: one of the two sections is no list.
    """
    plain = dict(plain)
    gathered: list[dict[str, Any]] = []
    rows, measure = plain.pop("metrics", None), plain.get("measure")
    for name, value in (("metrics", rows), ("measure", measure)):
        if value is not None and not isinstance(value, list):
            raise ValueError(f"{name}: this is a list of rows; got {value!r}")
    for row in rows or []:
        if not isinstance(row, dict):
            row = {"metric": row}  # which lacks its components, and will be told so
        names = row.get("metric", [])
        names = names if isinstance(names, list) else [names]
        rest = {k: v for k, v in row.items() if k != "metric"}
        for other in gathered:
            if {k: v for k, v in other.items() if k != "metric"} == rest:
                other["metric"] += [n for n in names if n not in other["metric"]]
                break
        else:
            gathered.append({**rest, "metric": list(names)})
    if not gathered:
        return plain
    measure = list(measure or [])
    taken = {
        row.get("id") or row.get("name") for row in measure if isinstance(row, dict)
    }
    for row in gathered:
        free = (f"metrics_{i}" if i > 1 else "metrics" for i in range(1, 1000))
        own = row.get("id") or next(name for name in free if name not in taken)
        taken.add(own)
        measure.append({**row, "name": "metrics", "id": own})
    return plain | {"measure": measure}
