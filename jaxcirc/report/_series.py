"""Names of heads and steps, and results as flat rows."""

import csv
import io
from collections.abc import Iterator

import numpy as np
import xarray as xr


def head_label(layer: int, head: int) -> str:
    """A head's short name, counted from 0: layer 1, head 2 is `L1H2`."""
    return f"L{layer}H{head}"


def strongest_head(score: xr.DataArray) -> tuple[int, int]:
    """Layer and head with the highest score at the last step, over all seeds."""
    last = score.isel(step=-1).mean("seed").transpose("layer", "head").values
    layer, head = np.unravel_index(last.argmax(), last.shape)
    return int(layer), int(head)


def step_text(step: int) -> str:
    """A step with thousands set apart."""
    return f"{step:,}"


def long_rows(tree: xr.DataTree) -> Iterator[tuple]:
    """Every number but patterns and draws: (measurement, quantity, step, seed, …)."""
    for node in tree.children.values():
        dataset = node.to_dataset()
        name = dataset.attrs.get("id", dataset.attrs.get("measurement"))
        if dataset.attrs.get("measurement") in ("patterns", "changes"):
            continue
        for variable, array in dataset.data_vars.items():
            if "draw" in array.dims:
                continue
            array = array.transpose("step", "seed", ...)
            rest = array.dims[2:]
            steps, seeds = array["step"].values, array["seed"].values
            labels = [array[dim].values for dim in rest]
            for index in np.ndindex(array.shape):
                where = " ".join(
                    f"{dim}={values[i]}"
                    for dim, values, i in zip(rest, labels, index[2:], strict=True)
                )
                value = f"{float(array.values[index]):.7g}"
                yield name, variable, steps[index[0]], seeds[index[1]], where, value


def to_csv(header: list[str], rows: list[tuple] | Iterator[tuple]) -> str:
    """Rows as the text of a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
