"""Scores and a circuit as the JSON that EAP-IG and MIB read."""

import json
import os
from typing import Any

import numpy as np
from jaxtyping import Array, Shaped

from .._core import write_atomically
from ..models import Graph, TransformerConfig, graph as graph_of
from ._notation import edge_names, node_names
from ._scores import Scores


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
        "cfg": sizes(config),
        "nodes": _nodes(graph, kept),
        "edges": edges,
        "jaxcirc": {
            "method": scores.method,
            "ablation": scores.ablation,
            "objective": scores.objective,
        },
    }
    write_atomically(os.fspath(path), json.dumps(whole).encode())


def sizes(config: TransformerConfig) -> dict[str, Any]:
    """The sizes of a model that EAP-IG builds its graph from.

    Args:
        config: Of the model.
    """
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
