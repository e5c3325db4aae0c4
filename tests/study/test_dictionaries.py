"""Dictionaries in a study: files of the run, taken up again, used by other rows."""

import pathlib

import jax
import numpy as np
import pytest

from jaxcirc import saes
from jaxcirc.checkpoints import CheckpointError, open_trajectory
from jaxcirc.models import capture
from jaxcirc.report import feature_pages, render
from jaxcirc.study import prepare, run

MEASURE = (
    "measure=[{name: dictionaries, layers: [1], d_sae: 8, options: {k: 2}, updates: 4,"
    " batch_size: 8, n_examples: 4, learning_rate: 0.001}]"
)


@pytest.fixture
def trained(tiny):
    prepared = prepare(tiny(MEASURE))
    return prepared, run(prepared)


def dictionaries(prepared, study, step):
    """The dictionaries of a step, read from their file."""
    shapes = prepared.measurements[0].measure.artefacts(prepared.model)
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), shapes["dictionaries"]
    )
    found = study.artefact("dictionaries", step, "dictionaries", like)
    return jax.tree.map(lambda x: x[0], found)


def test_they_are_files_that_encode_the_activations_of_their_checkpoint(trained):
    prepared, study = trained
    at = dictionaries(prepared, study, 8)
    assert (at.site, at.layers, int(at.step)) == ("resid_post", (1,), 8)
    model = open_trajectory(f"{study.training_folder}/seed_0").load(8)
    tokens = prepared.task.examples("test").tokens
    x = capture(model, tokens, ("blocks.1.hook_resid_post",))[1]
    x = x["blocks.1.hook_resid_post"].reshape(-1, 8)
    one = at.of(layer=0, twin=0)
    assert isinstance(one, saes.Dictionary)
    assert ((one.encode(x) != 0).sum(axis=-1) <= 2).all()


def test_latents_keep_their_index_from_checkpoint_to_checkpoint(trained):
    # Four small updates turn no latent into another; another seed has others.
    prepared, study = trained
    pairs = []
    for twin in (0, 1):
        before, after = (
            dictionaries(prepared, study, step).of(layer=0, twin=twin)
            for step in (4, 8)
        )
        found = saes.match(before, after, key=jax.random.key(0))
        assert (found.pairs == np.arange(8)).all()
        assert found.mean > found.nulls["random"].mean
        pairs.append(after)
    assert saes.match(*pairs, key=jax.random.key(0)).mean < found.mean


def test_a_run_that_goes_on_ends_in_the_same_bits(trained):
    prepared, study = trained
    old = [np.asarray(x) for x in jax.tree.leaves(dictionaries(prepared, study, 8))]
    folder = study.row("dictionaries")
    folder.remove(8)
    run(prepared)
    new = jax.tree.leaves(dictionaries(prepared, study, 8))
    assert all((a == np.asarray(b)).all() for a, b in zip(old, new, strict=True))


def test_a_file_that_was_changed_is_refused(trained):
    prepared, study = trained
    row, run_folder = study.row("dictionaries"), pathlib.Path(study.path)
    old, new = (row.artefact_files(step)["dictionaries"] for step in (4, 8))
    (run_folder / new).write_bytes((run_folder / old).read_bytes())
    with pytest.raises(CheckpointError, match="dictionaries"):
        dictionaries(prepared, study, 8)


def test_other_rows_know_the_layers_and_the_report_has_a_page_of_each(tiny):
    rows = [
        MEASURE.removeprefix("measure=[").removesuffix("]"),
        "{name: sae_quality, n_examples: 4, uses: {dictionaries: dictionaries}}",
        "{name: sae_features, uses: {dictionaries: dictionaries@all}}",
        "{name: sae_latents, n_sequences: 8,"
        " uses: {dictionaries: dictionaries@last, model: model@last}}",
    ]
    study = run(prepare(tiny(f"measure=[{', '.join(rows)}]")))
    tree = study.open()
    for row in ("sae_quality", "sae_features", "sae_latents"):
        assert tree[row].to_dataset()["layer"].values.tolist() == [1]
    followed = tree["sae_features"].to_dataset()
    assert followed["dictionaries_step"].values.tolist() == [0, 1, 2, 4, 8]
    assert np.isnan(followed["births"][:, :2]).all()
    assert (followed["births_shared"] <= followed["births"])[:, 2:].all()
    ((name, page),) = feature_pages(tree, study)
    assert name == "sae_latents_layer_1.html"
    assert name in render(tree)
    assert "<script" in page
    assert len(page) < 16_000_000


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("layers: [7]", "the model has layers 0 to 1"),
        ("site: nowhere", "nowhere"),
        ("architecture: crosscoder", "does not read and write one site"),
        ("twins: 0", "`twins` must be at least 1"),
        ("options: {k: 900}", "k"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_runs(tiny, options, told):
    with pytest.raises(Exception, match=told):
        prepare(tiny(f"measure=[{{name: dictionaries, {options}}}]"))


def test_latents_of_a_tied_model_promote_tokens(tiny):
    rows = (
        f"{MEASURE.removeprefix('measure=[').removesuffix(']')}, {{name: sae_latents,"
        " n_sequences: 8, uses: {dictionaries: dictionaries@last, model: model@last}}"
    )
    study = run(prepare(tiny(f"measure=[{rows}]", "model.tied=true")))
    found = study.artefact("sae_latents", None, "layer_1")
    assert (found["promoted_by"][:, 0] >= found["promoted_by"][:, -1]).all()
    assert (found["promoted_by"][:, 0] > found["suppressed_by"][:, 0]).all()
