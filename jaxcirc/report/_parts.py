"""The page's parts: the development of everything, then section by section."""

import functools
import json
from collections.abc import Mapping
from typing import Any

import xarray as xr

from ..plots import CurvePanel, developmental_curves, plain
from ._attempt import Failure, attempt
from ._budget import Part, within_budget
from ._nodes import has_namesake, nodes_of, view_of
from ._section import Block, Node
from ._sections import FALLBACK
from ._templates import controls

Nodes = Mapping[str, Node]
_TEXT = "Every quantity above one step axis; point anywhere to read them all."


def parts(tree: xr.DataTree) -> list[Part]:
    """The page's figures and tables, the whole of development first."""
    # A measurement that failed at every step has nothing to draw.
    nodes = {k: node for k, node in nodes_of(tree).items() if node.data.data_vars}
    # The timeline of changes comes before the quantities one by one.
    nodes = dict(sorted(nodes.items(), key=lambda item: item[1].section.measured))
    made = _development(nodes)
    for name in nodes:
        made += _own_parts(name, nodes)
    return within_budget(made)


def _development(nodes: Nodes) -> list[Part]:
    """The figure of all curves, with a sentence for each that cannot be drawn."""
    panels, failures = [], []
    for name in nodes:
        found = attempt(
            f"The curves of {name}", functools.partial(_overview, name, nodes)
        )
        if isinstance(found, Failure):
            failures.append(found.reason)
        else:
            panels += found
    if not panels:
        told = " ".join(failures)
        return [Part("development", "Development", told, failed=True)] if told else []
    figure = _json(developmental_curves(panels))
    return [Part("development", "Development", " ".join([_TEXT, *failures]), figure)]


def _overview(name: str, nodes: Nodes) -> list[CurvePanel]:
    """A row's panels for the figure of all curves."""
    panels = list(nodes[name].section.overview(view_of(name, nodes)))
    if not has_namesake(name, nodes):
        return panels
    return [p._replace(title=f"{p.title}<br>{plain(name)}") for p in panels]


def _own_parts(name: str, nodes: Nodes) -> list[Part]:
    """The parts of a row's section, or one that says why there are none."""
    what = f"The section on {name}"
    found = attempt(what, functools.partial(_drawn, name, nodes))
    if isinstance(found, Failure):
        title = name.replace("_", " ").capitalize()
        return [Part(name, title, found.reason, failed=True)]
    return found


def _drawn(name: str, nodes: Nodes) -> list[Part]:
    """The parts of a row's section."""
    section = nodes[name].section
    if section.draw is None or (section.together and name != _first_alike(name, nodes)):
        return []
    blocks = section.draw(view_of(name, nodes))
    # Blocks that are drawn by their axes bear the name of the row anyway.
    by_axes = section.draw is FALLBACK.draw
    if not (by_axes or section.together) and has_namesake(name, nodes):
        blocks = [b._replace(title=f"{b.title}: {name}") for b in blocks]
    return [_part(block, name, nodes[name]) for block in blocks]


def _first_alike(name: str, nodes: Nodes) -> str:
    """The first row of the same measurement."""
    kind = nodes[name].kind
    return next(other for other, node in nodes.items() if node.kind == kind)


def _part(block: Block, name: str, node: Node) -> Part:
    """A block as the page holds it."""
    explorer, html = None, ""
    if block.explorer is not None and node.section.explorer is not None:
        # JSON has no word for what is not finite, and a browser refuses NaN.
        explorer = json.dumps(block.explorer, allow_nan=False)
        html = controls(node.section.explorer, block.explorer)
    return Part(
        f"{name}{block.suffix}",
        block.title,
        block.text,
        None if block.figure is None else _json(block.figure),
        explorer,
        html,
        node.section.explorer,
        None if block.table is None else (list(block.table[0]), list(block.table[1])),
    )


def _json(figure: Any) -> str:
    """A figure as JSON for plotly."""
    return str(figure.to_json())
