"""The metrics section: what it measures, what it compares with, what it refuses."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import components, metrics
from jaxcirc._core import fold_name
from jaxcirc.checkpoints import open_trajectory
from jaxcirc.models import capture
from jaxcirc.study import StudyError, load_config, prepare, run
from jaxcirc.study._metrics_section import gather_metrics

BASE = """
name: m
task: {name: mod_add, p: 7}
model: {family: attention_only, n_layers: 3, d_model: 8, n_heads: 2}
training: {steps: 8, batch_size: 4, learning_rate: 0.05, every: 4}
"""
SECTION = """
metrics:
  - {metric: effective_rank, components: [W_Q, ov, {component: W_O, layers: [1]}]}
  - {metric: gini, components: [W_Q, ov, {component: W_O, layers: [1]}]}
  - {metric: [cka, gini], components: [resid_post], reference: last, n_examples: 16}
  - {metric: cka, components: [resid_post], reference: all, n_examples: 16, id: matrix}
  - {metric: cka, components: [resid_post], reference: layers, id: between}
  - {metric: update_ratio, components: [ov, W_E], reference: previous, id: moved}
  - {metric: cosine_similarity, components: [W_E], reference: 4, id: from_four}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("metrics")


@pytest.fixture(scope="module")
def ran(folder):
    path = folder / "m.yaml"
    path.write_text(BASE + SECTION)
    prepared = prepare(load_config(str(path), [f"out={folder / 'run'}"]))
    study = run(prepared)
    return prepared, study.open(), open_trajectory(f"{study.training_folder}/seed_0")


def test_rows_that_differ_in_the_metric_alone_are_one_measurement(ran):
    names = [row.id for row in ran[0].measurements]
    assert names == ["metrics", "metrics_2", "matrix", "between", "moved", "from_four"]
    assert ran[0].measurements[0].options["metric"] == ["effective_rank", "gini"]


def test_weights_are_measured_at_every_layer_and_head(ran):
    _, tree, trajectory = ran
    data = tree["metrics"].to_dataset()
    model = trajectory.load(8)
    whole = model.blocks.attn.W_Q.reshape(3, 8, 8)
    for layer in range(3):
        found = float(
            data["effective_rank:blocks.attn.W_Q"].sel(step=8, layer=layer)[0]
        )
        exact = float(metrics.effective_rank(whole[layer]))
        assert found == pytest.approx(exact, rel=1e-3)
    assert data["effective_rank:ov"].dims == ("step", "seed", "layer", "head")
    dense = components.ov(model).dense()
    found = float(data["effective_rank:ov"].sel(step=8, layer=2, head=1)[0])
    assert found == pytest.approx(float(metrics.effective_rank(dense[2, 1])), rel=1e-3)
    gini = float(data["gini:ov"].sel(step=8, layer=2, head=1)[0])
    assert gini == pytest.approx(float(metrics.gini(dense[2, 1])), rel=1e-4)


def test_layers_that_were_not_asked_for_are_missing(ran):
    chosen = ran[1]["metrics"]["effective_rank:blocks.attn.W_O"]
    assert np.isnan(chosen.sel(layer=[0, 2])).all()
    assert np.isfinite(chosen.sel(layer=1)).all()


def examples(prepared, row, n):
    key = fold_name(jr.key(prepared.source.seed), f"measure/{row}")
    return prepared.task.sample(n, split="test", key=fold_name(key, "examples"))


def resid(model, batch):
    return capture(model, batch.tokens, ("resid_post",))[1]["resid_post"][:, :, -1]


def test_similarity_to_the_last_checkpoint_is_that_of_its_activations(ran):
    prepared, tree, trajectory = ran
    batch = examples(prepared, "metrics_2", 16)
    one, last = resid(trajectory.load(0), batch), resid(trajectory.load(8), batch)
    found = tree["metrics_2"]["cka:resid_post"]
    for layer in range(3):
        exact = float(metrics.cka(one[layer], last[layer]).value)
        assert float(found.sel(step=0, layer=layer)[0]) == pytest.approx(
            exact, abs=1e-4
        )
    np.testing.assert_allclose(found.sel(step=8), 1, rtol=1e-4)
    assert (tree["metrics_2"]["cka_chance:resid_post"] == 0).all()


def test_every_checkpoint_against_every_other_is_symmetric(ran):
    found = ran[1]["matrix"]["cka:resid_post"].isel(seed=0)
    assert found.dims == ("step", "layer", "reference_step")
    steps = list(found["step"].values)
    assert list(found["reference_step"].values) == steps
    for layer in range(3):
        square = found.isel(layer=layer).values
        np.testing.assert_allclose(square, square.T, atol=1e-4)
        np.testing.assert_allclose(np.diag(square), 1, rtol=1e-4)


def test_layers_against_layers(ran):
    found = ran[1]["between"]["cka:resid_post"].sel(step=8).isel(seed=0)
    assert found.dims == ("layer", "other_layer")
    np.testing.assert_allclose(found.values, found.values.T, atol=1e-4)
    np.testing.assert_allclose(np.diag(found.values), 1, rtol=1e-4)


def test_change_since_the_checkpoint_before_and_since_a_step(ran):
    _, tree, trajectory = ran
    ratio = tree["moved"]["update_ratio:ov"]
    assert np.isnan(ratio.sel(step=0)).all()
    new, old = (components.ov(trajectory.load(s)).dense() for s in (8, 4))
    exact = jnp.linalg.norm(new[1, 1] - old[1, 1]) / jnp.linalg.norm(old[1, 1])
    found = float(ratio.sel(step=8, layer=1, head=1)[0])
    assert found == pytest.approx(float(exact), rel=1e-3)
    cosine = tree["from_four"]["cosine_similarity:W_E"]
    assert float(cosine.sel(step=4)[0]) == pytest.approx(1, abs=1e-5)
    assert float(cosine.sel(step=8)[0]) < 1


def study_of(tmp_path, section, *overrides):
    path = tmp_path / "m.yaml"
    path.write_text(BASE + section)
    return prepare(load_config(str(path), [f"out={tmp_path / 'run'}", *overrides]))


def test_another_run_can_be_the_reference(ran, folder, tmp_path):
    row = "metrics:\n - {metric: cka, components: [resid_post], reference: '%s'}"
    for i, reference in enumerate((f"{folder}/run", f"{folder}/run@8")):
        prepared = study_of(tmp_path, row % reference, f"out={tmp_path}/{i}")
        tree = run(prepared).open()
        # The same seed and training: the last checkpoints are the same.
        assert float(tree["metrics"]["cka:resid_post"].sel(step=8)[0, 0]) > 0.999
    with pytest.raises(StudyError, match=r"has no step 5; it has 5 from 0 to 8"):
        study_of(tmp_path, row % f"{folder}/run@5")
    with pytest.raises(StudyError, match="holds no run"):
        study_of(tmp_path, row % f"{folder}/nothing")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("metric: cka, components: [resid_pos], reference: last", "'resid_post'"),
        ("metric: cka, components: [resid_post]", "cka compares; give a `reference`"),
        ("metric: gini, components: [W_E], reference: last", "takes no `reference`"),
        ("metric: ckaa, components: [W_E]", "did you mean 'cka'"),
        ("metric: cka, components: [W_E], reference: last", "activations or gradients"),
        ("metric: cka, components: [resid_post], reference: 5", "nearest is 4"),
        ("metric: cka, components: [resid_post], reference: lst", "mean 'last'"),
        ("metric: gini, components: [W_E], n_examples: 3", "at least 4"),
        ("metric: gini, components: []", "is empty"),
        ("metric: gini", "components: this key is required"),
        ("metric: gini, components: [{component: W_E, head: true}]", "'heads'"),
        ("metric: gini, components: [W_E], data_split: tset", "data_split"),
        (
            "metric: pwcca, components: [resid_post], reference: last, n_examples: 8",
            "more examples",
        ),
        ("metric: gini, components: [ov], steps: [3]", "no checkpoint at steps"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_any_work(row, message, tmp_path):
    with pytest.raises(StudyError, match=message):
        study_of(tmp_path, f"metrics:\n - {{{row}}}")


def test_a_checkpoint_that_is_not_finite_is_a_failed_cell(tmp_path):
    section = "measure: [weights]\nmetrics:\n - {metric: gini, components: [W_E]}"
    prepared = study_of(tmp_path, section, "training.steps=4", "training.every=1")
    study = run(prepared)
    # A damaged weight, as a diverged run would leave it.
    from jaxcirc.study._measurements import Snapshot

    trajectory = open_trajectory(f"{study.training_folder}/seed_0")
    model = trajectory.load(4)
    import equinox as eqx

    broken = eqx.tree_at(lambda m: m.W_E, model, model.W_E.at[0, 0].set(jnp.nan))
    measure = prepared.measurements[-1].measure
    shot = Snapshot(jnp.array(1), broken, model, jnp.array(True))
    found = measure(shot, prepared.task, key=jr.key(0))
    assert int(found.failure.count) == 1
    shot = Snapshot(jnp.array(1), model, model, jnp.array(True))
    good = measure(shot, prepared.task, key=jr.key(0))
    assert int(good.failure.count) == 0
    assert np.isfinite(float(good.quantities["gini:W_E"].values))


def test_a_measurement_that_raises_fails_its_cells_and_no_others(tmp_path, monkeypatch):
    from jaxcirc.report import findings, render
    from jaxcirc.study import with_changes
    from jaxcirc.study._measurements._performance import Performance
    from jaxcirc.study._measurements._weights import Weights

    prepared = study_of(
        tmp_path, "measure: [weights, {name: performance, n_examples: 8}]"
    )

    def broken(self, snapshot, task, *, key):
        raise ValueError("weights: out of patience.")

    monkeypatch.setattr(Weights, "__call__", broken)
    tree = run(prepared).open()
    assert not tree["weights"].to_dataset().data_vars
    assert np.isfinite(tree["performance"]["loss"]).all()
    said = " ".join(findings(tree))
    assert "weights failed at 5 checkpoints, first at step 0: weights: out of" in said
    assert "out of patience" in render(with_changes(tree))
    # What gave no number is tried again; what did is not.
    monkeypatch.undo()
    monkeypatch.setattr(Performance, "__call__", broken)
    study = run(prepared)
    assert study.row("weights").failed_steps == set()
    again = study.open()
    assert "failed" not in again["weights"].attrs
    assert np.isfinite(again["weights"]["norm"]).all()
    assert np.isfinite(again["performance"]["loss"]).all()


def test_the_compatible_mode_is_another_product_and_estimator(tmp_path):
    section = """
metrics:
  - {metric: [effective_rank, proportional_effective_rank], components: [ov],
     pico_compat: true}
  - {metric: cka, components: [{component: ov, data: activations}], reference: last,
     pico_compat: true, n_examples: 16}
"""
    prepared = study_of(tmp_path, section)
    study = run(prepared)
    tree = study.open()
    model = open_trajectory(f"{study.training_folder}/seed_0").load(8)
    attn = model.blocks.attn
    # W_V W_O in the layout of a torch Linear: (d_head, d_head), not (d_model, d_model).
    V, O = np.asarray(attn.W_V[1, :, 0].T), np.asarray(attn.W_O[1, 0].T)
    s = np.linalg.svd(V.astype(np.float64) @ O, compute_uv=False)
    p = s / s.sum()
    exact = np.exp(-(p * np.log(p)).sum())
    found = float(tree["metrics"]["effective_rank:ov"].sel(step=8, layer=1, head=0)[0])
    assert found == pytest.approx(exact, rel=1e-3)
    share = tree["metrics"]["proportional_effective_rank:ov"].sel(
        step=8, layer=1, head=0
    )
    assert float(share[0]) == pytest.approx(exact / min(V.shape), rel=1e-3)
    assert "cka_biased:ov.activations" in tree["metrics_2"].data_vars


def test_gathering_keeps_what_differs_apart():
    rows = [
        {"metric": "gini", "components": ["W_E"]},
        {"metric": ["hoyer", "gini"], "components": ["W_E"]},
        {"metric": "gini", "components": ["W_U"]},
        {"metric": "gini", "components": ["W_U"], "id": "own"},
    ]
    made = gather_metrics({"metrics": rows, "measure": [{"name": "metrics"}]})
    assert [row.get("id") for row in made["measure"][1:]] == [
        "metrics_2",
        "metrics_3",
        "own",
    ]
    assert made["measure"][1]["metric"] == ["gini", "hoyer"]
    assert "metrics" not in made
    assert gather_metrics({"a": 1}) == {"a": 1}


def test_a_run_that_cannot_be_compared_with_is_refused(ran, folder, tmp_path):
    row = "metrics:\n - {metric: cka, components: [%s], reference: '%s'}"
    with pytest.raises(StudyError, match="has 8 tokens.*needs 12"):
        study_of(tmp_path, row % ("resid_post", f"{folder}/run"), "task.p=11")
    with pytest.raises(StudyError, match=r"reference '.*unknown component 'mlp.post'"):
        study_of(
            tmp_path,
            row % ("mlp.post", f"{folder}/run"),
            "model={family: gpt2, n_layers: 2, d_model: 8, n_heads: 2}",
        )


def test_a_reference_that_fails_fails_its_own_cells(tmp_path, monkeypatch):
    section = """
measure: [weights]
metrics:
  - {metric: cka, components: [resid_post], reference: all, n_examples: 8}
"""
    import jaxcirc.study._inputs as inputs

    monkeypatch.setattr(inputs, "device_memory", lambda: 1000)
    tree = run(study_of(tmp_path, section)).open()
    assert not tree["metrics"].to_dataset().data_vars
    assert "Take fewer `n_examples`" in tree["metrics"].attrs["failed"]
    assert np.isfinite(tree["weights"]["norm"]).all()


def test_a_damaged_reference_is_named_and_can_be_mended(tmp_path):
    from jaxcirc.checkpoints import CheckpointError

    section = """
metrics:
  - {metric: cka, components: [resid_post], reference: last, n_examples: 8}
"""
    prepared = study_of(tmp_path, section)
    study = run(prepared)
    for file in (tmp_path / "run" / "cells" / "metrics").glob("*.nc"):
        file.unlink()
    (last,) = (tmp_path / "run" / "training" / "seed_0").glob("step_*08.safetensors")
    good = last.read_bytes()
    last.write_bytes(good[:-10])
    with pytest.raises(CheckpointError, match=last.name):
        run(prepared)
    assert not study.row("metrics").steps
    last.write_bytes(good)
    assert np.isfinite(run(prepared).open()["metrics"]["cka:resid_post"]).all()


def test_a_new_row_is_in_the_list_the_schema_and_the_results(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    import jaxcirc.study._measurements._metrics as study_metrics
    from jaxcirc.cli._app import app
    from jaxcirc.metrics import MetricSpec

    spec = MetricSpec(
        name="smallest_entry",
        summary="the smallest entry of all",
        fn=lambda x: x.min(),
        kind="array",
        bounds=(-np.inf, None),
        units="",
        paper="",
    )
    rows = (*metrics.METRICS, spec)
    monkeypatch.setattr(metrics, "METRICS", rows)
    monkeypatch.setattr(study_metrics, "METRICS", rows)
    assert "smallest_entry" in CliRunner().invoke(app, ["list"]).output
    row = "metrics:\n - {metric: smallest_entry, components: [W_E]}"
    study = run(study_of(tmp_path, row))
    model = open_trajectory(f"{study.training_folder}/seed_0").load(8)
    found = study.open()["metrics"]["smallest_entry:W_E"].sel(step=8)
    assert float(found[0]) == float(model.W_E.min())


@pytest.mark.parametrize(("section", "most"), [("gini", 2), ("update_ratio", 3)])
def test_few_checkpoints_are_in_memory_at_once(section, most, tmp_path):
    """The one at hand and the one being read; the one before only if it is needed."""
    import gc

    import jax

    from jaxcirc.checkpoints import Trajectory
    from jaxcirc.study._measure import Work, measure_missing

    reference = ", reference: previous" if section == "update_ratio" else ""
    row = f"metrics:\n - {{metric: {section}, components: [W_E]{reference}}}"
    # Sizes such that no other array has the embedding's shape.
    sizes = ("training.steps=16", "training.every=2", "model.d_model=20")
    prepared = study_of(tmp_path, row, *sizes)
    study = run(prepared)
    for file in (tmp_path / "run" / "cells" / "metrics").glob("*.nc"):
        file.unlink()
    stored = open_trajectory(f"{study.training_folder}/seed_0")
    shape, alive = stored.load(0).W_E.shape, []

    def read(step):
        gc.collect()
        # With and without the axis of seeds.
        sizes = [x for x in jax.live_arrays() if x.shape in (shape, (1, *shape))]
        alive.append(len(sizes))
        return stored.load(step)

    counted = Trajectory(
        stored.steps, read, stored.info, "counted", fingerprint=stored.fingerprint
    )
    measure_missing(Work(prepared, study, [counted]))
    # Counted before the new one is there; one of them is freed once seeds are stacked.
    assert max(alive[3:]) <= most
