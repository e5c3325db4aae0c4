"""What other tools call the nodes and edges of a graph."""

from typing import NamedTuple

import numpy as np

from .._core import unknown
from ..models import Graph


class _Notation(NamedTuple):
    """How a tool writes names; `{part}` is one of q, k and v."""

    embed: str
    head: str
    mlp: str
    input: str
    logits: str


_EAP_IG = _Notation("input", "a{layer}.h{head}", "m{layer}", "<{part}>", "logits")
_NOTATIONS = {
    "jaxcirc": _Notation(
        "embed", "L{layer}H{head}", "L{layer}.mlp", ".{part}", "logits"
    ),
    "eap_ig": _EAP_IG,
    # The benchmark took over the files of EAP-IG.
    "mib": _EAP_IG,
    "auto_circuit": _Notation(
        "Resid Start", "A{layer}.{head}", "MLP {layer}", ".{part}", "Resid End"
    ),
}


def node_names(graph: Graph, tool: str = "eap_ig") -> dict[str, int]:
    """The sources of a graph by what a tool calls them, in the graph's order.

    EAP-IG and MIB write `input`, `a3.h2` and `m4`; auto-circuit `Resid Start`, `A3.2`
    and `MLP 4`.

    Args:
        graph: Whose sources these are.
        tool: Whose names: `eap_ig`, `mib`, `auto_circuit`, or `jaxcirc` for our own.

    Returns:
        Name -> place of the source.

    Raises:
        ValueError: there is no such tool, or positions are a source of their own, which
            only this library has.

    Example:
        >>> from jaxcirc.models import TransformerConfig, graph
        >>> small = graph(TransformerConfig(d_vocab=9, n_ctx=8, n_layers=1, n_heads=2))
        >>> node_names(small)
        {'input': 0, 'a0.h0': 1, 'a0.h1': 2}
    """
    notation = _notation(tool)
    return {_source(graph, s, notation, tool): s for s in range(len(graph.sources))}


def edge_names(graph: Graph, tool: str = "eap_ig") -> dict[str, tuple[int, int]]:
    """The edges of a graph by what a tool calls them, in the order of `graph.edges`.

    EAP-IG and MIB write `input->a3.h2<q>` and `m4->logits`; auto-circuit `Resid
    Start->A3.2.Q` and `MLP 4->Resid End`. These tools have no groups: where query heads
    share a key head, its one edge here has a name for each of them, and all of these
    names have its place.

    Args:
        graph: Whose edges these are.
        tool: Whose names: `eap_ig`, `mib`, `auto_circuit`, or `jaxcirc` for our own
            with a key input for each query head.

    Returns:
        Name -> places of source and destination.

    Raises:
        ValueError: there is no such tool, or positions are a source of their own, which
            only this library has.

    Example:
        >>> from jaxcirc.models import TransformerConfig, graph
        >>> small = graph(TransformerConfig(d_vocab=9, n_ctx=8, n_layers=1, n_heads=2))
        >>> edge_names(small)["input->a0.h1<k>"]
        (0, 3)
        >>> list(edge_names(small, "auto_circuit"))[-1]
        'A0.1->Resid End'
    """
    notation = _notation(tool)
    sources = list(node_names(graph, tool))
    readers = [
        _readers(graph, d, notation, tool) for d in range(len(graph.destinations))
    ]
    return {
        f"{sources[s]}->{reader}": (s, d)
        for s, d in graph.edges.tolist()
        for reader in readers[d]
    }


def _notation(tool: str) -> _Notation:
    if tool not in _NOTATIONS:
        raise ValueError(unknown("tool", tool, list(_NOTATIONS)))
    return _NOTATIONS[tool]


def _source(graph: Graph, source: int, notation: _Notation, tool: str) -> str:
    """What a tool calls a source."""
    name, layer = graph.sources[source], graph.source_layer[source]
    if name == "pos_embed" and tool != "jaxcirc":
        raise ValueError(
            f"names: positions are a source of their own in this graph, and {tool} has "
            "no name for that. Take scores without `positions=True`."
        )
    if layer < 0:
        return name if name == "pos_embed" else notation.embed
    if name.endswith(".mlp"):
        return notation.mlp.format(layer=layer)
    return notation.head.format(layer=layer, head=name.split("H")[1])


def _readers(graph: Graph, destination: int, notation: _Notation, tool: str):
    """What a tool calls a destination: one name for each head that it serves."""
    name = graph.destinations[destination]
    if name == "logits":
        return [notation.logits]
    served = np.flatnonzero(graph.serves[destination])
    nodes = [_source(graph, int(source), notation, tool) for source in served]
    if name.endswith(".mlp"):
        return nodes
    part = name[-1].upper() if tool == "auto_circuit" else name[-1]
    return [node + notation.input.format(part=part) for node in nodes]
