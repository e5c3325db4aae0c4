"""A study's results with how each of them is shown."""

from collections import Counter
from collections.abc import Mapping

import xarray as xr

from ._budget import share
from ._results import kind_of, results
from ._section import Node, View
from ._sections import section_of


def nodes_of(tree: xr.DataTree) -> dict[str, Node]:
    """Every row of a study by name, in its order."""
    made = {}
    for name, data in results(tree).items():
        kind = kind_of(name, data)
        made[name] = Node(kind, data, section_of(kind))
    return made


def measured(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """The nodes of measurements, without what is of training or derived from others."""
    return {name: node for name, node in nodes.items() if node.section.measured}


def view_of(name: str, nodes: Mapping[str, Node]) -> View:
    """What a node's section sees.

    Args:
        name: Name of the node.
        nodes: All nodes by name.
    """
    # The page has one budget, in which all that have sliders share.
    explored = sum(node.section.explorer is not None for node in nodes.values())
    return View(name, nodes[name].data, nodes, share(explored))


def has_namesake(name: str, nodes: Mapping[str, Node]) -> bool:
    """Whether another node is of the same measurement.

    Args:
        name: Name of the node.
        nodes: All nodes by name.
    """
    kinds = Counter(node.kind for node in nodes.values())
    return kinds[nodes[name].kind] > 1
