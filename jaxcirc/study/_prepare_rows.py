"""The rows of a study as measurements: options, steps and what they use."""

from collections.abc import Mapping, Sequence
from typing import Any

from .._core import find, unknown
from ..models import TransformerConfig
from ..tasks import AbstractTask
from ._config import MeasureConfig, Measurement, StepRange, Steps, StudyConfig
from ._faults import attempt
from ._measurements import (
    MEASUREMENTS,
    SCOPES,
    AbstractMeasurement,
    MeasurementSpec,
    Once,
    Use,
    parse_use,
)
from ._options import check_options
from ._sources import AbstractSource
from ._task import build_task
from ._uses import check_use, order

# Measurements that study files of earlier versions know by another name.
_RENAMED = {"circuits": "ov_qk"}
# Nodes of the results that no measurement may be called like.
_OWN_NODES = ("training", "changes")
_SEE = ". See training.checkpoints and training.every"


def build_rows(
    config: StudyConfig,
    task: AbstractTask,
    model: TransformerConfig,
    source: AbstractSource,
    words: Mapping[str, Any],
    faults: list[str],
) -> list[Measurement]:
    """Every row that can be built, and what is wrong with the others.

    Args:
        config: The study.
        task: The study's task.
        model: The config of the checkpoints.
        source: Where they come from.
        words: Options of tasks that read text, as the models know it.
        faults: Grows by what is wrong.
    """
    rows = []
    taken: set[str] = set()
    for place, row in enumerate(config.measure):
        where = f"measure[{place}]"
        if (spec := _spec_of(row, where, faults)) is None:
            continue
        _check_id(row.id or row.name, taken, where, faults)
        steps = _steps_of(row, config.steps, source, where, faults)
        measure = _measure_of(spec, row, where, faults)
        if measure is None:
            continue
        if isinstance(measure[0], Once):
            steps = ()
            if row.steps is not None:
                faults.append(
                    f"{where}.steps: {row.name} runs once, of no checkpoint; leave "
                    "this out"
                )
        own = _own_task(row, model, words, where, faults)
        seen = task if own is None else own
        attempt(lambda m=measure[0], t=seen: m.check(model, t), faults)
        made = _row(row, *measure, steps, faults)
        rows.append(made._replace(task=own, said=row.task))
    _check_uses(rows, source.checkpoint_steps, task, faults)
    return rows


def _own_task(
    row: MeasureConfig,
    model: TransformerConfig,
    words: Mapping[str, Any],
    where: str,
    faults: list[str],
) -> AbstractTask | None:
    """The task that a row names, which the models must be able to read."""
    if not row.task:
        return None
    task = build_task(row.task, f"{where}.task", faults, words)
    if task is None:
        return None
    if too_small := too_small_for(task, model):
        faults.append(f"{where}.task: it has {', '.join(too_small)}")
    return task


def too_small_for(task: AbstractTask, model: TransformerConfig) -> list[str]:
    """What a task has more of than a model can read or answer, in words.

    Args:
        task: The task.
        model: The config of the model.
    """
    return [
        f"{what} of {size:,}, more than the model's {has:,}"
        for what, size, has in (
            ("tokens", task.d_vocab, model.d_vocab),
            ("answers", task.n_answers, model.sizes.d_vocab_out),
            ("a context", task.n_ctx, model.n_ctx),
        )
        if size > has
    ]


def _spec_of(
    row: MeasureConfig, where: str, faults: list[str]
) -> MeasurementSpec | None:
    """The catalogue's row of a measurement, or None where there is no such thing."""
    try:
        return find(MEASUREMENTS, row.name, kind="measurement")
    except ValueError as error:
        now = _RENAMED.get(row.name)
        told = f"{row.name!r} is called {now!r} now; write that" if now else error
        faults.append(f"{where}: {told}")
        return None


def _check_id(own_id: str, taken: set[str], where: str, faults: list[str]) -> None:
    """Note an id that is taken, by another row or by a node of the results."""
    if own_id in taken:
        faults.append(
            f"{where}: a measurement {own_id!r} is there already; give this one "
            f"an `id` of its own, such as `id: {own_id}_2`"
        )
    taken.add(own_id)
    if own_id in _OWN_NODES:
        faults.append(
            f"{where}: {own_id!r} cannot be an `id`: the results have a node of "
            "that name already; choose another"
        )


def _steps_of(
    row: MeasureConfig,
    usual: Steps,
    source: AbstractSource,
    where: str,
    faults: list[str],
) -> tuple[int, ...]:
    """The steps of a row, or those of the study where the row says none."""
    if row.steps is not None:
        return _select(row.steps, source, f"{where}.steps", faults)
    return _select(usual, source, "steps", faults)


def _measure_of(
    spec: MeasurementSpec, row: MeasureConfig, where: str, faults: list[str]
) -> tuple[AbstractMeasurement, dict[str, Any]] | None:
    """What a row does, and its options with their types put right."""
    checked, wrong = check_options(
        spec.build, row.options, where=f"{where} ({row.name})"
    )
    faults += wrong
    measure = None if wrong else attempt(lambda: spec.build(**checked), faults)
    if measure is None:
        return None
    if not isinstance(measure, SCOPES):
        names = ", ".join(scope.__name__ for scope in SCOPES)
        faults.append(f"{where}: {row.name} must be of one of the scopes {names}")
        return None
    return measure, checked


def _row(
    row: MeasureConfig,
    measure: AbstractMeasurement,
    options: dict[str, Any],
    steps: tuple[int, ...],
    faults: list[str],
) -> Measurement:
    """The row with what it uses."""
    made = Measurement(row.id or row.name, row.name, options, steps, measure)
    uses = attempt(lambda: _uses(measure, row), faults)
    if uses is None:
        return made
    return made._replace(uses=uses, asked=frozenset(row.uses))


def _check_uses(
    rows: Sequence[Measurement],
    steps: Sequence[int],
    task: AbstractTask,
    faults: list[str],
) -> None:
    """Note what is used and is not there, and rows that use each other in a circle."""
    places = {row.id: row.places for row in rows}
    for row in rows:
        for name, use in row.uses.items():
            seen = task if row.task is None else row.task
            given = (row.measure, places, steps, seen)
            attempt(lambda n=name, u=use, g=given: check_use(n, u, *g), faults)
    # A circle is told of rows that are right by themselves.
    if not faults:
        attempt(lambda: order({row.id: row.uses for row in rows}), faults)


def _uses(measure: AbstractMeasurement, row: MeasureConfig) -> dict[str, Use]:
    """What the study says that a row uses, and what its options say.

    Raises:
        ValueError: the row takes no such thing, or lacks one that it takes.
    """
    takes = measure.takes
    for name in row.uses:
        if name not in takes:
            what = f"input of {row.name}"
            raise ValueError(f"{row.name}.uses: {unknown(what, name, takes)}")
    for name, meaning in takes.items():
        if name not in row.uses:
            raise ValueError(
                f"{row.name}.uses: give `{name}`, {meaning}, such as "
                f"`uses: {{{name}: ROW@last}}`."
            )
    given = {name: parse_use(text) for name, text in row.uses.items()}
    return {**measure.uses, **given}


def _select(
    steps: Steps, source: AbstractSource, where: str, faults: list[str]
) -> tuple[int, ...]:
    """The steps that are asked for, ascending, each known to be there."""
    there = source.checkpoint_steps
    if steps is None:
        return there
    ends = [steps.start, steps.end] if isinstance(steps, StepRange) else steps
    outside = [s for s in ends if not 0 <= s <= there[-1]]
    if outside:
        shown = ", ".join(f"{s:.6g}" if abs(s) > 1e15 else str(s) for s in outside[:5])
        faults.append(
            f"{where}: [{shown}] is outside the run, which goes from 0 to {there[-1]}"
        )
        return ()
    if isinstance(steps, StepRange):
        wanted = list(range(steps.start, steps.end + 1, steps.step))
    else:
        wanted = steps
    missing = [s for s in wanted if s not in there]
    if missing:
        near = min(there, key=lambda s: abs(s - missing[0]))
        faults.append(
            f"{where}: no checkpoint at steps {missing[:5]}; the nearest to "
            f"{missing[0]} is {near}" + (_SEE if source.is_own else "")
        )
    return tuple(sorted(set(wanted)))
