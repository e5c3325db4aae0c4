"""Scores and a circuit from the JSON that EAP-IG and MIB write."""

import json
import os
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from .._core import read_bytes
from ..models import TransformerConfig, graph as graph_of
from ._notation import edge_names
from ._scores import Scores
from ._write_circuit import sizes

# EAP-IG writes about 75 bytes for each edge of a query head's graph; a long way above
# that, a file is of something else, and need not be held.
_BYTES_PER_EDGE, _REST = 500, 1_000_000


def read_circuit(
    path: str | os.PathLike, config: TransformerConfig
) -> tuple[Scores, Bool[Array, "source destination"]]:
    """Scores and circuit from a file of EAP-IG, of MIB or of `write_circuit`.

    Nothing in the file is executed, and whatever does not fit the model is refused.
    Where query heads share a key head, the scores of their edges are added up, and an
    edge is in the circuit if one of them is. Edges of MLPs that a model does not have
    may be there with score 0, as EAP-IG writes them.

    Args:
        path: The file.
        config: Of the model that it is about.

    Returns:
        Scores, whose method, ablation and objective are `unknown` unless the file tells
        them, and the mask of edges that are in the circuit.

    Raises:
        ValueError: it is no such file, or of another model.
        FileNotFoundError: there is no file.
        OSError: it cannot be read.
    """
    graph, path = graph_of(config), os.fspath(path)
    most = _REST + _BYTES_PER_EDGE * graph_of(config, grouped=False).n_edges
    whole = _parsed(path, most)
    _check_model(path, whole["cfg"], config)
    names = edge_names(graph)
    missing = [name for name in names if name not in whole["edges"]]
    if missing:
        raise _odd(path, f"it has no edge {missing[0]!r}, which the model has")
    values = np.zeros(graph.exists.shape)
    keep = np.zeros(graph.exists.shape, bool)
    for name, entry in whole["edges"].items():
        score, kept = _entry(path, name, entry)
        if name in names:
            values[names[name]] += score
            keep[names[name]] |= kept
        elif score or kept:
            raise _odd(path, f"it has an edge {name[:80]!r}, which the model has not")
    told = whole.get("jaxcirc")
    told = told if isinstance(told, dict) else {}
    method, ablation, objective = (
        text if isinstance(text := told.get(key), str) and len(text) < 80 else "unknown"
        for key in ("method", "ablation", "objective")
    )
    values = jnp.asarray(values, jnp.float32)
    scores = Scores(values, graph, method, ablation, objective)
    return scores, jnp.asarray(keep)


def _odd(path: str, why: str) -> ValueError:
    """An error for a file that is not what it should be."""
    return ValueError(
        f"read_circuit: {path} is no circuit of this model: {why}. It reads the JSON "
        "that EAP-IG's `Graph.to_json` writes: cfg, nodes and edges."
    )


def _parsed(path: str, most: int) -> dict[str, Any]:
    """The file as an object with `cfg` and `edges`.

    Args:
        path: The file.
        most: Bytes that it may have; of a larger one no more are read.

    Raises:
        ValueError: it is something else.
    """
    data = read_bytes(path, most + 1)
    if len(data) > most:
        raise _odd(path, f"it has more than the {most:,} bytes that all edges may take")

    def no_number(text: str):
        raise ValueError(f"{text} is no finite number")

    try:
        whole = json.loads(data, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise _odd(path, f"it is no JSON ({str(error)[:80]})") from None
    if not isinstance(whole, dict):
        raise _odd(path, "it is no object")
    for key in ("cfg", "nodes", "edges"):
        if not isinstance(whole.get(key), dict):
            raise _odd(path, f"it has no object `{key}`")
    return whole


def _check_model(path: str, cfg: dict[str, Any], config: TransformerConfig) -> None:
    """Refuse the file of a model of other sizes.

    Raises:
        ValueError: a size differs.
    """
    for key, own in sizes(config).items():
        if key in cfg and cfg[key] != own:
            told = str(cfg[key])[:80]
            raise _odd(path, f"its `{key}` is {told}, and the model's is {own}")


def _entry(path: str, name: str, entry: Any) -> tuple[float, bool]:
    """Score and membership of one edge.

    Raises:
        ValueError: they are not a finite number and a truth value.
    """
    score = entry.get("score") if isinstance(entry, dict) else None
    kept = entry.get("in_graph") if isinstance(entry, dict) else None
    # A truth value is an integer, and beyond the largest float an integer is none.
    if (
        isinstance(score, bool)
        or not isinstance(score, int | float)
        or not -3e38 < score < 3e38
    ):
        raise _odd(path, f"the score of {name[:80]!r} is no finite number")
    if not isinstance(kept, bool):
        raise _odd(path, f"`in_graph` of {name[:80]!r} is not true or false")
    return float(score), kept
