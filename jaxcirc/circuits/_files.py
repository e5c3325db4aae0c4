"""Scores and circuits in the JSON that EAP-IG and MIB read and write."""

import json
import math
import os
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Shaped

from .._core import read_bytes, write_atomically
from ..models import Graph, TransformerConfig, graph as graph_of
from ._notation import edge_names, node_names
from ._scores import Scores

# Ten times what all edges of a model with 2.8 billion weights take.
_MOST_BYTES = 1_200_000_000


def write_circuit(
    path: str | os.PathLike,
    scores: Scores,
    config: TransformerConfig,
    keep: Shaped[Array, "source destination"] | None = None,
) -> None:
    """Write scores, and which edges a circuit keeps, as EAP-IG's `Graph.to_json` does.

    An object of `cfg` (sizes of the model), `nodes` (`in_graph` of each) and `edges`
    (`score` and `in_graph` of each), with EAP-IG's names. Where query heads share a key
    head, each of them gets an equal part of its edge's score, so that parts add up to
    it. What the scores are is told beside, where other tools do not look.

    Args:
        path: Where to; a file that is there is replaced.
        scores: Scores; those that tell examples apart are averaged.
        config: Of the model.
        keep: Which edges are in the circuit; none by default.

    Raises:
        ValueError: scores are of another graph, tell positions apart or are not finite,
            or the mask has another shape.
        OSError: the file cannot be written.

    Example:
        >>> import jax.numpy as jnp, json, pathlib, tempfile
        >>> from jaxcirc.circuits import Scores, graph, write_circuit
        >>> from jaxcirc.models import TransformerConfig
        >>> config = TransformerConfig(d_vocab=9, n_ctx=8, n_layers=1, n_heads=2)
        >>> values = jnp.where(graph(config).exists, 0.5, 0.0)
        >>> scores = Scores(values, graph(config), "eap", "resample", "LogitDifference")
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "circuit.json"
        >>> write_circuit(file, scores, config, values > 0)
        >>> json.loads(file.read_text())["edges"]["input->a0.h0<q>"]
        {'score': 0.5, 'in_graph': True}
    """
    graph, values = scores.graph, np.asarray(scores.mean, np.float64)
    kept = np.zeros(graph.exists.shape, bool) if keep is None else np.asarray(keep) > 0
    _check_written(graph, config, values, kept)
    names = edge_names(graph)
    parts = np.zeros(graph.exists.shape, int)
    for place in names.values():
        parts[place] += 1
    edges = {
        name: {"score": values[p] / parts[p], "in_graph": bool(kept[p])}
        for name, p in names.items()
    }
    whole = {
        "cfg": _cfg(config),
        "nodes": _nodes(graph, kept),
        "edges": edges,
        "jaxcirc": {
            "method": scores.method,
            "ablation": scores.ablation,
            "objective": scores.objective,
        },
    }
    write_atomically(os.fspath(path), json.dumps(whole).encode())


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
    whole = _parsed(path)
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
    labels = [
        text if isinstance(text := told.get(key), str) and len(text) < 80 else "unknown"
        for key in ("method", "ablation", "objective")
    ]
    scores = Scores(jnp.asarray(values, jnp.float32), graph, *labels)
    return scores, jnp.asarray(keep)


def _cfg(config: TransformerConfig) -> dict[str, Any]:
    """The sizes that EAP-IG builds its graph from."""
    return {
        "n_layers": config.n_layers,
        "n_heads": config.n_heads,
        "parallel_attn_mlp": config.parallel,
        "d_model": config.d_model,
    }


def _nodes(graph: Graph, kept: np.ndarray) -> dict[str, dict[str, bool]]:
    """Which nodes have an edge in the circuit, in or out."""
    used = kept.any(axis=1) | (kept.any(axis=0) @ graph.serves)
    nodes = {name: {"in_graph": bool(used[s])} for name, s in node_names(graph).items()}
    return nodes | {"logits": {"in_graph": bool(kept[:, -1].any())}}


def _check_written(
    graph: Graph, config: TransformerConfig, values: np.ndarray, kept: np.ndarray
) -> None:
    """Refuse what has no place in such a file.

    Raises:
        ValueError: as said.
    """
    if graph != graph_of(config):
        raise ValueError(
            "write_circuit: the scores are of another graph than `graph(config)`. Give "
            "the config of their model, and scores without `positions=True`."
        )
    for what, array in (("scores have", values), ("`keep` has", kept)):
        if array.shape != graph.exists.shape:
            raise ValueError(
                f"write_circuit: {what} shape {array.shape}; the file has one number "
                f"for each edge of {graph.exists.shape}. Sum over spans."
            )
    if not np.isfinite(values).all():
        raise ValueError("write_circuit: a score is not finite, which JSON cannot say.")


def _odd(path: str, why: str) -> ValueError:
    """An error for a file that is not what it should be."""
    return ValueError(
        f"read_circuit: {path} is no circuit of this model: {why}. It reads the JSON "
        "that EAP-IG's `Graph.to_json` writes: cfg, nodes and edges."
    )


def _parsed(path: str) -> dict[str, Any]:
    """The file as an object with `cfg` and `edges`.

    Raises:
        ValueError: it is something else.
    """
    data = read_bytes(path)
    if len(data) > _MOST_BYTES:
        raise _odd(path, f"it has {len(data):,} bytes, and {_MOST_BYTES:,} are enough")

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
    for key, own in _cfg(config).items():
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
    number = isinstance(score, int | float) and not isinstance(score, bool)
    # Beyond the largest float an integer of JSON is none.
    if not number or abs(score) > 3e38 or not math.isfinite(score):
        raise _odd(path, f"the score of {name[:80]!r} is no finite number")
    if not isinstance(kept, bool):
        raise _odd(path, f"`in_graph` of {name[:80]!r} is not true or false")
    return float(score), kept
