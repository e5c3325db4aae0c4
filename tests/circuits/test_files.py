"""Names that other tools use, and scores and circuits in their files."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc import circuits
from jaxcirc.circuits import Scores, edge_names, graph, node_names

from ..models.toys import toy

CONFIG = toy("plain")


def some_scores(config=CONFIG):
    table = graph(config)
    rng = np.random.default_rng(0)
    values = np.where(table.exists, rng.normal(size=table.exists.shape), 0)
    return Scores(jnp.asarray(values, jnp.float32), table, "eap", "zero", "KLTo")


def test_names_are_those_of_each_tool():
    table = graph(CONFIG)
    assert list(node_names(table))[:4] == ["input", "a0.h0", "a0.h1", "a0.h2"]
    assert list(node_names(table, "auto_circuit"))[4:6] == ["MLP 0", "A1.0"]
    names = edge_names(table)
    assert len(names) == table.n_edges
    assert names == edge_names(table, "mib")
    place = (table.sources.index("L0.mlp"), table.destinations.index("L1H2.v"))
    assert names["m0->a1.h2<v>"] == place
    assert edge_names(table, "auto_circuit")["MLP 0->A1.2.V"] == place
    assert list(edge_names(table, "jaxcirc")) == table.names
    assert names["m1->logits"] == edge_names(table, "auto_circuit")["MLP 1->Resid End"]


def test_an_edge_into_a_group_has_a_name_for_each_of_its_heads():
    table = graph(toy("gqa"))
    names = edge_names(table)
    assert names["input->a1.h2<k>"] == names["input->a1.h3<k>"]
    assert names["input->a1.h1<k>"] != names["input->a1.h2<k>"]
    assert set(names) == set(edge_names(graph(toy("gqa"), grouped=False)))


def test_what_no_tool_has_is_said():
    with pytest.raises(ValueError, match="eap_ig has no name for that"):
        edge_names(graph(CONFIG, positions=True))
    with pytest.raises(ValueError, match="'acdcx'"):
        edge_names(graph(CONFIG), "acdcx")


@pytest.mark.parametrize("name", ["plain", "gqa", "parallel", "attention_only"])
def test_what_is_written_is_read(name, tmp_path):
    config = toy(name)
    scores = some_scores(config)
    keep = circuits.top(scores, 9)
    circuits.write_circuit(tmp_path / "circuit.json", scores, config, keep)
    found, kept = circuits.read_circuit(tmp_path / "circuit.json", config)
    assert (kept == keep).all()
    np.testing.assert_allclose(found.values, scores.values, rtol=1e-6)
    assert (found.method, found.ablation, found.objective) == ("eap", "zero", "KLTo")
    whole = json.loads((tmp_path / "circuit.json").read_text())
    assert set(whole["cfg"]) == {"n_layers", "n_heads", "parallel_attn_mlp", "d_model"}
    used = {node for node, entry in whole["nodes"].items() if entry["in_graph"]}
    inside = [e for e, entry in whole["edges"].items() if entry["in_graph"]]
    ends = {end.split("<")[0] for edge in inside for end in edge.split("->")}
    assert used == ends


def _set(key, value):
    def change(whole):
        whole["edges"]["input->logits"][key] = value

    return change


BAD = {
    "text": (lambda w: "no json", "is no JSON"),
    "nan": (
        lambda w: json.dumps(w).replace("true", "NaN", 1),
        "NaN is no finite number",
    ),
    "deep": (lambda w: "[" * 100_000, "is no JSON"),
    "list": (lambda w: "[1]", "it is no object"),
    "keys": (lambda w: w.pop("edges") and None, "no object `edges`"),
    "model": (
        lambda w: w["cfg"].update(n_heads=7),
        "its `n_heads` is 7, and the model",
    ),
    "less": (lambda w: w["edges"].popitem() and None, "no edge 'm1->logits'"),
    "more": (
        lambda w: w["edges"].update({"m7->logits": {"score": 1.0, "in_graph": True}}),
        "an edge 'm7->logits', which the model has not",
    ),
    "score": (_set("score", "1"), "score of 'input->logits' is no finite number"),
    "bool": (_set("score", True), "score of 'input->logits' is no finite number"),
    "huge": (_set("score", 10**400), "score of 'input->logits' is no finite number"),
    "kept": (_set("in_graph", 1), "`in_graph` of 'input->logits' is not true or false"),
}


@pytest.mark.parametrize("case", BAD)
def test_odd_files_are_refused(case, tmp_path):
    change, message = BAD[case]
    file = tmp_path / "circuit.json"
    scores = some_scores()
    circuits.write_circuit(file, scores, CONFIG, circuits.top(scores, 9))
    whole = json.loads(file.read_text())
    text = change(whole)
    file.write_text(text if text is not None else json.dumps(whole))
    with pytest.raises(ValueError, match=message):
        circuits.read_circuit(file, CONFIG)


def test_what_cannot_be_written_is_said(tmp_path):
    file = tmp_path / "circuit.json"
    scores = some_scores()
    with pytest.raises(ValueError, match="scores are of another graph"):
        circuits.write_circuit(file, scores, toy("gqa"))
    with pytest.raises(ValueError, match="`keep` has shape"):
        circuits.write_circuit(file, scores, CONFIG, jnp.ones((2, 2)))
    broken = Scores(scores.values * jnp.nan, scores.graph, "eap", "zero", "KLTo")
    with pytest.raises(ValueError, match="not finite"):
        circuits.write_circuit(file, broken, CONFIG)
    with pytest.raises(FileNotFoundError, match="is missing"):
        circuits.read_circuit(tmp_path / "none.json", CONFIG)


def test_no_more_is_read_than_the_edges_of_the_model_may_take(tmp_path):
    path = tmp_path / "circuit.json"
    circuits.write_circuit(path, some_scores(), CONFIG)
    # Blanks are JSON too, and would be read to their end.
    path.write_text(path.read_text() + " " * 3_000_000)
    with pytest.raises(ValueError, match="more than the 1,0.* bytes that all edges"):
        circuits.read_circuit(path, CONFIG)
