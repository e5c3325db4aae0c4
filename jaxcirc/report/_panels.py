"""What the page shows for each kind of measurement.

A measurement without a panel of its own is drawn as curves of its quantities, so a new
one needs nothing here.
"""

import base64
import functools
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from ..plots import (
    Curve,
    CurvePanel as Panel,
    attention_pattern,
    developmental_curves,
    plain,
    step_heatmap,
)
from ._attempt import Failure, attempt
from ._changes import change_figure, change_rows
from ._llc import (
    ablation_figure,
    ablation_table,
    conformance_figure,
    conformance_sentence,
    conformance_table,
    grid_figure,
    grid_sentence,
    llc_panel,
    programs_figure,
    programs_sentence,
    programs_table,
    solution_sentence,
    trace_explorer,
    trace_figure,
)
from ._metrics import quantity_figures
from ._results import head_label, kind_of, prominent_head, results, step_text

# Above this many bytes patterns are thinned out over steps, to keep the page light.
MAX_PATTERN_BYTES = 6_000_000


Nodes = Mapping[str, xr.Dataset]


class Section(NamedTuple):
    """A part of the page: heading, sentence, figure, data for sliders, a table.

    One that cannot be drawn has no figure, and says why.
    """

    id: str
    title: str
    text: str
    figure: str | None = None
    explorer: dict[str, Any] | None = None
    table: tuple[list[str], list[tuple]] | None = None


def sections(tree: xr.DataTree) -> list[Section]:
    """The page's figures, the whole of development first."""
    # A measurement that failed at every step has nothing to draw.
    nodes = {k: data for k, data in results(tree).items() if data.data_vars}
    # What moves when comes before the quantities one by one.
    nodes = dict(sorted(nodes.items(), key=lambda item: item[0] != "changes"))
    made = _development(nodes)
    for name in nodes:
        made += _own_sections(name, nodes)
    return made


def _development(nodes: Nodes) -> list[Section]:
    panels, failures = [], []
    for name in nodes:
        title = f"The curves of {name}"
        found = attempt(title, functools.partial(_overview, name, nodes))
        if isinstance(found, Failure):
            failures.append(found.reason)
        else:
            panels += found
    if not panels and not failures:
        return []
    text = "Every quantity above one step axis; point anywhere to read them all."
    figure = _json(developmental_curves(panels)) if panels else None
    text = " ".join([text, *failures] if panels else failures)
    return [Section("development", "Development", text, figure)]


def _overview(name: str, nodes: Nodes) -> list[Panel]:
    draw = _OVERVIEW.get(kind_of(name, nodes[name]))
    panels = [] if draw is None else draw(name, nodes)
    if not _has_namesake(name, nodes):
        return panels
    return [p._replace(title=f"{p.title}<br>{plain(name)}") for p in panels]


def _own_sections(name: str, nodes: Nodes) -> list[Section]:
    kind = kind_of(name, nodes[name])
    if kind in _IN_OVERVIEW:
        return []
    draw = _SECTIONS.get(kind, _quantities)
    found = attempt(f"The section on {name}", functools.partial(draw, name, nodes))
    if isinstance(found, Failure):
        return [Section(name, _heading(name), found.reason)]
    if kind not in _SECTIONS or kind in _TOGETHER or not _has_namesake(name, nodes):
        return found
    return [section._replace(title=f"{section.title}: {name}") for section in found]


def _has_namesake(name: str, nodes: Nodes) -> bool:
    """Whether another node is of the same measurement."""
    kinds = Counter(kind_of(k, data) for k, data in nodes.items())
    return kinds[kind_of(name, nodes[name])] > 1


def _heading(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _performance_panels(name: str, nodes: Nodes) -> list[Panel]:
    data = nodes[name]

    def panel(name: str, title: str, *, log: bool = False) -> Panel:
        array = data[name]
        steps = array["step"].values
        curves = [
            Curve(split, steps, _seeds(array.sel(split=split)), i, dashed=i == 1)
            for i, split in enumerate(("train", "test"))
        ]
        chance = array.attrs.get("chance")
        return Panel(title, curves, None if chance is None else float(chance), log)

    return [
        panel("loss", "loss<br>(nats)", log=True),
        panel("rank_0_rate", "right answer<br>first (share)"),
        panel("logit_difference", "logit difference<br>(logits)"),
    ]


def _attention_panels(name: str, nodes: Nodes) -> list[Panel]:
    data = nodes[name]
    titles = {
        "induction": "induction score<br>(attention)",
        "previous_token": "previous-token<br>score (attention)",
    }
    panels = []
    for name, title in titles.items():
        array = data[name]
        found = prominent_head(array)
        top = (found.layer, found.head)
        steps = array["step"].values
        heads = list(np.ndindex(array.sizes["layer"], array.sizes["head"]))
        # The strongest head last, so that it lies on top of the others.
        heads.sort(key=lambda head: head == top)
        curves = [
            Curve(
                head_label(*head) if head == top else "other heads",
                steps,
                _seeds(array.isel(layer=head[0], head=head[1])),
                colour=2 if name == "induction" else 3,
                faint=head != top,
            )
            for head in heads
        ]
        panels.append(Panel(title, curves, float(array.attrs["chance"])))
    return panels


def _head_map(name: str, nodes: Nodes) -> list[Section]:
    data = nodes[name]
    heads = [
        head_label(layer, head)
        for layer, head in np.ndindex(data.sizes["layer"], data.sizes["head"])
    ]
    scores, units = {}, {}
    for score in map(str, data.data_vars):
        flat = data[score].mean("seed").transpose("layer", "head", "step")
        label = score.replace("_", " ")
        scores[label] = flat.values.reshape(len(heads), -1)
        units[label] = data[score].attrs["units"]
    figure = step_heatmap(scores, heads, data["step"].values.tolist(), units)
    seeds = data.sizes["seed"]
    over = f", the mean of {seeds} seeds" if seeds > 1 else ""
    text = (
        "Scores on random tokens that repeat" + over + ". The buttons change the score."
    )
    return [Section(name, "Heads", text, _json(figure))]


def _pattern_explorer(name: str, nodes: Nodes) -> list[Section]:
    data = nodes[name]
    array = data["pattern"].isel(seed=0).transpose("step", "layer", "head", ...)
    keep = max(1, -(-array.size // MAX_PATTERN_BYTES))
    # The last checkpoint is always shown.
    chosen = list(range(array.sizes["step"]))[::-1][::keep][::-1]
    array = array.isel(step=chosen)
    tokens = [str(token) for token in array["query_pos"].values]
    values = np.clip(np.rint(array.values * 255), 0, 255).astype(np.uint8)
    heads = [
        head_label(layer, head)
        for layer, head in np.ndindex(array.sizes["layer"], array.sizes["head"])
    ]
    explorer = {
        "kind": "patterns",
        "steps": array["step"].values.tolist(),
        "heads": heads,
        "size": len(tokens),
        "values": base64.b64encode(values.tobytes()).decode(),
    }
    layer, head = _interesting_head(nodes)
    explorer["first_head"] = heads.index(head_label(layer, head))
    figure = attention_pattern(array.values[-1, layer, head], tokens)
    text = "One test example. Rows attend to columns; move the sliders."
    return [Section(name, "Attention patterns", text, _json(figure), explorer)]


def _interesting_head(nodes: Nodes) -> tuple[int, int]:
    """The head of the findings where heads have been scored, else the first."""
    for data in nodes.values():
        if data.attrs.get("measurement") == "attention":
            found = prominent_head(data["induction"])
            return found.layer, found.head
    return 0, 0


def _weight_curves(name: str, nodes: Nodes) -> list[Section]:
    data = nodes[name]
    groups = _weight_groups([str(part) for part in data["part"].values])
    steps = data["step"].values
    norms, ratios = [], []
    for colour, (group, members) in enumerate(groups.items()):
        inside = data.sel(part=members)
        length = (inside["norm"] ** 2).sum("part") ** 0.5
        norms.append(Curve(group, steps, _seeds(length), colour))
        ratio = (_moved(inside) / length).where(length["step"] > steps[0])
        ratios.append(Curve(group, steps, _seeds(ratio), colour))
    panels = [
        Panel("Frobenius norm", norms),
        Panel("change / norm", ratios, log=True),
    ]
    text = (
        "Length of each group of weights, and how far it moved since the checkpoint "
        "before, relative to its length."
    )
    if len(set(np.diff(steps).tolist())) > 1:
        text += " Checkpoints are not evenly spaced."
    figure = developmental_curves(panels)
    return [Section(name, "Weights", text, _json(figure))]


def _moved(parts: xr.Dataset) -> xr.DataArray:
    """How far weights have moved together since the checkpoint before."""
    each = parts["norm"] * parts["update_ratio"]
    # What was zero before has moved by all of its length.
    each = each.where(~np.isinf(parts["update_ratio"]), parts["norm"])
    return (each**2).sum("part") ** 0.5


def _weight_groups(parts: list[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for part in parts:
        if ".attn." in part:
            label = "attention"
        elif ".mlp." in part:
            label = "MLP"
        elif "ln" in part:
            label = "norms"
        else:
            label = "unembedding" if part.endswith("_U") else "embedding"
        groups.setdefault(label, []).append(part)
    return groups


def _llc_panels(name: str, nodes: Nodes) -> list[Panel]:
    solutions = [
        data
        for data in nodes.values()
        if data.attrs.get("measurement") == "llc_solution"
    ]
    return [llc_panel(nodes[name], solutions[0] if solutions else None)]


def _solution_traces(name: str, nodes: Nodes) -> list[Section]:
    data = nodes[name]
    text = f"{solution_sentence(data)} Every draw of each of its chains:"
    figure = _json(trace_figure(data))
    return [Section(name, "LLC of the known solution", text, figure)]


def _ablations(name: str, nodes: Nodes) -> list[Section]:
    data = nodes[name]
    text = (
        "The known solution with each head, MLP and layer silenced. The coefficient is "
        "that of the function which is left: its loss is the divergence from what the "
        "model says at w* itself. Open marks are not converged."
    )
    figure = _json(ablation_figure(data))
    table = ablation_table(data)
    return [Section(name, "Ablations", text, figure, table=table)]


def _programs(name: str, nodes: Nodes) -> list[Section]:
    # A study has a row, and so a cell, for each program; they are one table.
    kind = nodes[name].attrs["measurement"]
    alike = [k for k, data in nodes.items() if data.attrs.get("measurement") == kind]
    if name != alike[0]:
        return []
    data = xr.concat([nodes[k] for k in alike], "program", combine_attrs="override")
    figure, table = _json(programs_figure(data)), programs_table(data)
    text = programs_sentence(data)
    return [Section(name, "LLC of compiled programs", text, figure, table=table)]


def _llc_traces(name: str, nodes: Nodes) -> list[Section]:
    data = nodes[name]
    text = (
        "Every draw of each chain at one checkpoint: flat and mixed where the estimate "
        "can be used. Move the slider, or click a point of the LLC curve above; a "
        "cross there is an estimate that is not converged."
    )
    figure = _json(trace_figure(data))
    return [Section(name, "LLC chains", text, figure, trace_explorer(data))]


def _llc_grid(name: str, nodes: Nodes) -> list[Section]:
    data = nodes[name]
    step = int(data["step"].values[-1])
    text = f"At step {step_text(step)}. {grid_sentence(data)}"
    return [Section(name, "LLC calibration grid", text, _json(grid_figure(data)))]


def _conformance(name: str, nodes: Nodes) -> list[Section]:
    data = nodes[name]
    return [
        Section(
            name,
            "LLC conformance",
            conformance_sentence(data),
            _json(conformance_figure(data)),
            table=conformance_table(data),
        )
    ]


def _quantities(name: str, nodes: Nodes) -> list[Section]:
    data = nodes[name]
    title = _heading(name)
    parts = dict.fromkeys(str(v).partition(":")[2] for v in data.data_vars)
    named = [part for part in parts if part]
    if named:
        title += f": {', '.join(named[:4])}" + (" …" if len(named) > 4 else "")
    return [
        Section(
            f"{name}{suffix}",
            f"{title}, {kind}" if kind else title,
            text,
            _json(figure),
        )
        for suffix, kind, text, figure in quantity_figures(data)
    ]


def _changes(name: str, nodes: Nodes) -> list[Section]:
    data = nodes[name]
    if not data.data_vars:
        return []
    text = (
        "Changes of level that explain more than the best cut of random orders of the "
        "same values does: a series without any order in time has one in at most one "
        "case of twenty. Between two changes, the piece is looked through by itself. "
        "× noise: how far beyond that. Abrupt: how much of the change happens around "
        "that checkpoint."
    )
    figure = _json(change_figure(data))
    return [Section(name, "When things move", text, figure, table=change_rows(data))]


def _json(figure: Any) -> str:
    return str(figure.to_json())


def _seeds(array: xr.DataArray) -> np.ndarray:
    return array.transpose("seed", "step").values


_IN_OVERVIEW = frozenset({"performance", "training"})
# Rows of these are one section.
_TOGETHER = frozenset({"llc_programs"})
_OVERVIEW: dict[str, Callable[[str, Nodes], list[Panel]]] = {
    "performance": _performance_panels,
    "attention": _attention_panels,
    "llc": _llc_panels,
}
_SECTIONS: dict[str, Callable[[str, Nodes], list[Section]]] = {
    "attention": _head_map,
    "patterns": _pattern_explorer,
    "weights": _weight_curves,
    "llc": _llc_traces,
    "llc_grid": _llc_grid,
    "llc_conformance": _conformance,
    "llc_solution": _solution_traces,
    "llc_ablations": _ablations,
    "llc_programs": _programs,
    "changes": _changes,
}
