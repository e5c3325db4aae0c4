"""The circuit of a behaviour: drawn layer by layer, and how it grows over training."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ...plots import Curve, CurvePanel
from .._results import by_seed, last_finite, step_text
from .._section import Block, SectionSpec, View
from .._thin import thinned, thinned_text
from .._when import first_steps, when_first

# More than these are a thicket; all of them are in the run's folder and the CSV.
_MOST_EDGES = 200

_COLUMN, _ROW, _MARGIN = 96, 30, 34


def overview(view: View) -> list[CurvePanel]:
    """Size and faithfulness over training, the latter beside random circuits."""
    data, steps = view.data, view.data["step"].values
    sizes = [Curve("edges", steps, by_seed(data["size"]), colour=4)]
    kept = [
        Curve("circuit", steps, by_seed(data["faithfulness"]), colour=2),
        Curve("random circuits", steps, by_seed(data["random"]), colour=5, faint=True),
    ]
    return [
        CurvePanel("circuit size<br>(edges)", sizes, None),
        CurvePanel("faithfulness<br>(share)", kept, None),
    ]


def draw(view: View) -> list[Block]:
    """The strongest edges at every step, and the circuit of the last one as a table."""
    # One seed: the mean of several circuits is no circuit.
    data = view.data.isel(seed=0)
    names = [str(s) for s in data["source"].values]
    to = [str(d) for d in data["destination"].values]
    nodes = _nodes(names, to)
    number = data.sizes["step"]
    chosen = thinned(number, 60 * _MOST_EDGES, view.budget)
    index = {node["name"]: place for place, node in enumerate(nodes)}
    edges = [_edges(data.isel(step=i), names, to, index) for i in chosen]
    last = int(np.nan_to_num(data["size"].values[-1], nan=0.0, posinf=0.0))
    most = max(1, *(len(e) for e in edges))
    explorer = {
        "steps": data["step"].values[chosen].tolist(),
        "nodes": nodes,
        "width": max(node["x"] for node in nodes) + _MARGIN,
        "height": max(node["y"] for node in nodes) + _MARGIN,
        "heads": [i for i, node in enumerate(nodes) if _is_head(node["name"])],
        "edges": edges,
        "most": most,
        "first": min(max(last, 1), most, 40) - 1,
        "units": data["score"].attrs.get("units", ""),
    }
    text = (
        "The edges with the largest scores, from the embedding on the left to the "
        "logits on the right. Blue edges carry the behaviour: without them the "
        "objective falls; orange ones work against it. Width is the score, and an edge "
        "is the paler the fewer resamples of the examples choose it. Move the sliders, "
        "click a node for its own edges, point at an edge for its numbers."
    )
    text += thinned_text(len(chosen), number)
    return [Block("Circuit", text, explorer=explorer, table=_table(data))]


def findings(view: View) -> list[str]:
    """When a circuit is first found, how large it is, and its strongest composition."""
    data = view.data
    return [*_of_size(data), *_of_composition(data)]


def _of_size(data: xr.Dataset) -> list[str]:
    """The size of the circuit at the last step with one, beside chance."""
    size, kept = data["size"].mean("seed"), data["faithfulness"].mean("seed")
    end = last_finite(size)
    if end is None or not np.isfinite(kept.values[end]):
        return [
            "No circuit is spoken of: at no step do the pairs tell the whole model "
            "from one without any edges."
        ]
    random = data["random"].mean("seed").values[end]
    of = int(data["score"].notnull().isel(step=end, seed=0).sum())
    step = step_text(int(data["step"].values[end]))
    beside = f"; random circuits of that size {random:.2f}" * bool(np.isfinite(random))
    return [
        f"At step {step} a circuit of {size.values[end]:.0f} of {of} edges keeps "
        f"{kept.values[end]:.2f} of the behaviour{beside}."
    ]


def _of_composition(data: xr.Dataset) -> list[str]:
    """The strongest edge between two heads at the end, and since when it is that."""
    score = abs(data["score"]).mean("seed").transpose("step", "source", "destination")
    heads = [s for s in score["source"].values if re.fullmatch(r"L\d+H\d+", str(s))]
    inputs = [d for d in score["destination"].values if str(d)[-2:] in _INPUTS]
    between = score.sel(source=heads, destination=inputs)
    values = np.where(np.isfinite(between.values), between.values, -np.inf)
    flat = values.reshape(len(values), -1)
    known = np.flatnonzero(flat.max(axis=1, initial=-np.inf) > 0)
    if not len(known):
        return []
    best = int(flat[known[-1]].argmax())
    since = known[-1]
    while since > 0 and flat[since - 1].max() > 0 and flat[since - 1].argmax() == best:
        since -= 1
    source, destination = (
        str(axis[i])
        for axis, i in zip(
            (heads, inputs), np.unravel_index(best, values.shape[1:]), strict=True
        )
    )
    head, part = destination.rsplit(".", 1)
    half = first_steps(
        data["score"].sel(source=source, destination=destination),
        lambda x: abs(x) >= flat[known[-1], best] / 2,
    )
    step = step_text(int(data["step"].values[since]))
    return [
        f"The strongest composition of two heads is from {source} to the "
        f"{_INPUTS[f'.{part}']} input of {head}: it is the strongest from step {step} "
        f"on, with a score of {flat[known[-1], best]:.2g} at the end, and has half of "
        f"that {when_first(half)}."
    ]


_INPUTS = {".q": "query", ".k": "key", ".v": "value"}


def _nodes(sources: list[str], destinations: list[str]) -> list[dict]:
    """Every node once, with its place: a column for each layer's heads and its MLP."""
    names = [*sources, *(d for d in destinations if d == "logits" or "G" in d)]
    # Keys and values of a group are one node.
    names = [name.split(".")[0] if "G" in name else name for name in names]
    names = list(dict.fromkeys(names))
    columns: dict[tuple[float, int], list[str]] = {}
    for name in names:
        columns.setdefault(_column(name), []).append(name)
    highest = max(map(len, columns.values()))
    nodes = []
    for place, column in enumerate(sorted(columns)):
        members = columns[column]
        top = _MARGIN + (highest - len(members)) * _ROW / 2
        for row, name in enumerate(members):
            label = re.sub(r"^L(\d+)\.mlp$", r"MLP \1", name)
            nodes.append({
                "name": name, "label": label,
                "x": _MARGIN + place * _COLUMN, "y": top + row * _ROW,
            })  # fmt: skip
    return nodes


def _is_head(name: str) -> bool:
    return re.fullmatch(r"L\d+[HG]\d+", name) is not None


def _column(name: str) -> tuple[float, int]:
    """Where a node stands: layer, and in it groups of keys, heads, MLP."""
    if name == "logits":
        return (float("inf"), 0)
    found = re.match(r"L(\d+)(.)", name)
    if found is None:
        return (-1, 0)
    return (int(found[1]), {"G": 0, "H": 1, ".": 2}[found[2]])


def _edges(
    data: xr.Dataset, sources: list[str], destinations: list[str], index: dict[str, int]
) -> list[list]:
    """Edges of one step, strongest first: where, score, interval, how often chosen."""
    score = data["score"].transpose("source", "destination").values
    known = np.where(np.isfinite(score), np.abs(score), 0)
    order = np.argsort(-known, axis=None, kind="stable")[:_MOST_EDGES]
    rows = []
    for s, d in zip(*np.unravel_index(order, score.shape), strict=True):
        if known[s, d] == 0:
            break
        name = destinations[d]
        head = name[-2:] in _INPUTS
        to = name[:-2] if head else name
        rest = [
            _number(data[k].transpose("source", "destination").values[s, d])
            for k in ("low", "high", "often")
        ]
        rows.append([
            index[sources[s]], index[to], name[-1] if head else "",
            _number(score[s, d]), *rest,
        ])  # fmt: skip
    return rows


def _number(value: Any) -> float | None:
    """Four digits, which is more than a line shows; None if it is not finite."""
    return float(f"{value:.4g}") if np.isfinite(value) else None


def _table(data: xr.Dataset) -> tuple[list[str], list[tuple]]:
    """The strongest edges of the last step, with what is known of each."""
    last = data.isel(step=-1)
    score = last["score"].transpose("source", "destination")
    known = np.where(np.isfinite(score.values), np.abs(score.values), 0)
    order = np.argsort(-known, axis=None, kind="stable")[:20]
    rows = []
    for s, d in zip(*np.unravel_index(order, known.shape), strict=True):
        one = last.isel(source=s, destination=d)
        if known[s, d] == 0:
            break
        interval = f"{float(one['low']):.3g} to {float(one['high']):.3g}"
        rows.append((
            str(one["source"].values), str(one["destination"].values),
            f"{float(one['score']):.3g}", interval,
            f"{100 * float(one['often']):.0f}%",
            "yes" if float(one["kept"]) > 0 else "no",
        ))  # fmt: skip
    units = data["score"].attrs.get("units", "")
    header = ["from", "to", f"score ({units})", "95% interval", "chosen", "in circuit"]
    return header, rows


SECTION = SectionSpec("circuit", draw, overview, findings, Path(__file__))
