"""Rows that use what others find, other checkpoints and other runs."""

import json

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc.checkpoints import open_trajectory
from jaxcirc.study import (
    MEASUREMENTS,
    MeasurementSpec,
    Once,
    Outcome,
    PerCheckpoint,
    Quantity,
    StudyError,
    Use,
    _prepare_rows,
    parse_use,
    plan,
    prepare,
    run,
)


class Total(PerCheckpoint):
    """The sum of the embedding, and its signs as an artefact."""

    factor: float = eqx.field(static=True)

    def __call__(self, snapshot, task, *, key):
        W_E = snapshot.model.W_E
        total = Quantity(self.factor * W_E.sum(), (), "", "sum of the embedding")
        if self.factor < 0:
            raise RuntimeError("no factor below 0")
        return Outcome({"total": total}, {"m": W_E > 0})


class Ratio(PerCheckpoint):
    """The sum of the embedding where another row's artefact says so."""

    def __call__(self, snapshot, task, *, key):
        used = snapshot.inputs["other"]
        kept = jnp.where(used.artefacts["m"][""], snapshot.model.W_E, 0).sum()
        return Outcome(
            {
                "kept": Quantity(kept, (), "", "sum of what is kept"),
                "seen": Quantity(used.quantities["total"], (), "", "what was found"),
            }
        )

    @property
    def takes(self):
        return {"other": "a row with signs"}


class Base(PerCheckpoint):
    """The distance of the embedding from that of another model."""

    def __call__(self, snapshot, task, *, key):
        far = jnp.abs(snapshot.model.W_E - snapshot.inputs["base"].W_E).sum()
        return Outcome({"far": Quantity(far, (), "", "distance")})

    @property
    def takes(self):
        return {"base": "a model"}


class Highest(Once):
    """At which step another row is highest."""

    def __call__(self, task, inputs, *, key):
        found = np.asarray(inputs["of"].quantities["total"])
        return Outcome({"place": Quantity(found.argmax(axis=1), ("own",), "", "step")})

    @property
    def takes(self):
        return {"of": "a row"}


def total(factor: float = 1.0) -> Total:
    return Total(factor)


@pytest.fixture(autouse=True)
def catalogue(monkeypatch):
    builders = {"total": total, "ratio": Ratio, "base": Base, "highest": Highest}
    more = tuple(MeasurementSpec(n, n, b, {}) for n, b in builders.items())
    monkeypatch.setattr(_prepare_rows, "MEASUREMENTS", (*MEASUREMENTS, *more))


def measured(ran, tiny, *rows: str, **more):
    prepared = prepare(tiny(f"measure=[{', '.join(rows)}]", *more.get("options", ())))
    return run(prepared)


def embeddings(study):
    trajectory = open_trajectory(f"{study.training_folder}/seed_0")
    return {step: np.asarray(trajectory.load(step).W_E) for step in trajectory.steps}


@pytest.mark.parametrize(
    ("use", "mask_at"),
    [("total", None), ("total@first", 0), ("total@last", 8), ("total@2", 2)],
)
def test_an_outcome_of_a_step_reaches_the_row_that_uses_it(ran, tiny, use, mask_at):
    # It comes first in the study, and second in time.
    row = f"{{name: ratio, uses: {{other: {use}}}}}"
    study = measured(ran, tiny, row, "total")
    found, weights = study.open()["ratio"], embeddings(study)
    for step, W_E in weights.items():
        of = weights[step if mask_at is None else mask_at]
        kept = float(found["kept"].sel(step=step)[0])
        assert kept == pytest.approx(W_E[of > 0].sum(), rel=1e-4)
        seen = float(found["seen"].sel(step=step)[0])
        assert seen == pytest.approx(of.sum(), rel=1e-4)


def test_all_steps_reach_a_row_that_runs_once(ran, tiny):
    study = measured(ran, tiny, "{name: highest, uses: {of: total@all}}", "total")
    sums = [W_E.sum() for _, W_E in sorted(embeddings(study).items())]
    assert study.open()["highest"]["place"].values.tolist() == [int(np.argmax(sums))]


def test_a_plan_bounds_what_uses_other_rows(tiny):
    rows = (
        "total",
        "{name: ratio, uses: {other: total@last}}",
        "{name: ratio, id: again, uses: {other: chained}}",
        "{name: total, id: chained, uses: {}}",
        "{name: highest, uses: {of: total@all}}",
    )
    prepared = prepare(tiny(f"measure=[{', '.join(rows)}]"))
    planned = plan(prepared)
    # The embeddings of all seeds, and the other row's mask of a byte for each entry.
    entries = prepared.model.d_vocab * prepared.model.d_model * planned.seeds
    for row in ("ratio", "again"):
        assert planned.measuring[row] >= (4 + 1) * entries
    assert planned.measuring["highest"] is None


def test_a_checkpoint_or_another_run_is_used_as_it_is(ran, tiny, tmp_path):
    first = "{name: base, uses: {base: model@first}}"
    other = f"{{name: base, id: other, uses: {{base: '{ran[1].path}@4'}}}}"
    study = measured(ran, tiny, first, other)
    tree, weights = study.open(), embeddings(study)
    for name, step in (("base", 0), ("other", 4)):
        expected = np.abs(weights[8] - weights[step]).sum()
        found = float(tree[name]["far"].sel(step=8)[0])
        assert found == pytest.approx(expected, rel=1e-4)
        assert float(tree[name]["far"].sel(step=step)[0]) == 0


def test_what_uses_a_row_that_failed_says_so(ran, tiny):
    study = measured(
        ran, tiny, "{name: total, factor: -1}", "{name: ratio, uses: {other: total}}"
    )
    failed = json.loads(study.open()["ratio"].attrs["failed"])
    assert failed["4"].startswith("it uses 'total', which failed at step 4: RuntimeErr")
    last = "{name: ratio, id: last, uses: {other: total@last}}"
    study = measured(ran, tiny, "{name: total, factor: -1}", last)
    failed = json.loads(study.open()["last"].attrs["failed"])
    assert failed["0"].startswith("it uses 'total', which failed at step 8: RuntimeErr")


def test_another_option_of_what_is_used_is_another_measurement(ran, tiny):
    row = "{name: ratio, uses: {other: total@last}}"
    measured(ran, tiny, "total", row)
    # Elsewhere the same row is measured anew; under its own id it is refused.
    with pytest.raises(StudyError, match="factor"):
        measured(ran, tiny, "{name: total, factor: 2}", row)
    with pytest.raises(
        StudyError, match="uses.other.use: 'total@last' there, 'total@fir"
    ):
        measured(ran, tiny, "total", "{name: ratio, uses: {other: total@first}}")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("ratio", "ratio.uses: give `other`, a row with signs"),
        ("{name: ratio, uses: {othr: total}}, total", "input of ratio.*mean 'other'"),
        ("{name: ratio, uses: {other: totl}}, total", "unknown row.*mean 'total'"),
        ("{name: ratio, uses: {other: total@5}}, total", "nearest is 4"),
        ("{name: ratio, uses: {other: total@x}}, total", "not of the form"),
        ("{name: base, uses: {base: model}}", "'model' names no step"),
        ("{name: base, uses: {base: runs/none}}", "holds no run"),
        ("{name: highest, uses: {of: total}}, total", "names no step"),
        ("{name: total, uses: {of: weights}}, weights", "unknown input of total"),
        (
            "{name: ratio, id: a, uses: {other: b}},"
            "{name: ratio, id: b, uses: {other: a@last}}",
            "in a circle: a -> b -> a|in a circle: b -> a -> b",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_before_any_work(tiny, rows, said):
    with pytest.raises(StudyError, match=said):
        prepare(tiny(f"measure=[{rows}]"))


@pytest.mark.parametrize(
    ("text", "use"),
    [
        ("eap", Use("eap", "same")),
        ("a@b@last", Use("a@b", "last")),
        ("model@all", Use("model", "all")),
        ("runs/x", Use("runs/x", "last")),
        ("s3://b/x@7", Use("s3://b/x", 7)),
    ],
)
def test_uses_are_read_and_written_alike(text, use):
    assert parse_use(text) == use
    assert parse_use(str(use)) == use
