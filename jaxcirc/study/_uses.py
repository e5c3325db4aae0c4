"""What `uses:` may name: checkpoints, other runs and other rows; and in which order."""

import graphlib
from collections.abc import Callable, Mapping, Sequence

from .._core import unknown
from ..checkpoints import Trajectory
from ..models import TransformerConfig
from ..tasks import AbstractTask
from ._measurements import AbstractMeasurement, Once, Use
from ._run_folder import seeds_of_run


def check_use(
    name: str,
    use: Use,
    measure: AbstractMeasurement,
    rows: Mapping[str, Sequence[int | None]],
    steps: Sequence[int],
    task: AbstractTask,
) -> None:
    """Refuse something that does not exist or cannot be used.

    Args:
        name: What the row calls it.
        use: What it is.
        measure: The measurement that uses it.
        rows: Ids of the study's rows, with their steps; None alone where one runs once.
        steps: Checkpoints of this run.
        task: The task whose data a model of another run must be able to read.

    Raises:
        ValueError: no such row, step or run (the message says what there is), or a run
            whose model lacks what is looked at.
    """
    once = tuple(rows.get(use.of, ())) == (None,)
    if use.at == "same" and (isinstance(measure, Once) and not once or use.is_model):
        raise ValueError(
            f"{name}: {str(use)!r} names no step; write {use.of}@first, {use.of}@last, "
            f"{use.of}@all or {use.of}@STEP."
        )
    if use.is_run:
        _check_run(name, use, measure, task)
        return
    if use.of != "model" and use.of not in rows:
        raise ValueError(f"{name}: {unknown('row', use.of, [*rows, 'model'])}")
    there = steps if use.of == "model" else rows[use.of]
    if not there:
        raise ValueError(f"{name}: {use.of!r} is measured at no step.")
    if tuple(there) == (None,):
        if use.at not in ("same", "last"):
            raise ValueError(f"{name}: {use.of!r} has no steps; write {use.of} alone.")
        return
    if isinstance(use.at, int) and use.at not in there:
        near = min((s for s in there if s is not None), key=_distance_to(use.at))
        what = "checkpoint" if use.of == "model" else f"step of {use.of!r}"
        raise ValueError(f"{name}: no {what} at step {use.at}; the nearest is {near}.")


def _distance_to(step: int) -> Callable[[int], int]:
    """A function that says how far another step is."""
    return lambda other: abs(other - step)


def _check_run(
    name: str, use: Use, measure: AbstractMeasurement, task: AbstractTask
) -> None:
    """Refuse another run that is not there, or whose model does not fit.

    Raises:
        ValueError: the message says what there is.
    """
    if use.at not in ("last", "first") and not isinstance(use.at, int):
        raise ValueError(
            f"{name}: {str(use)!r}: of another run, one step is used; write "
            f"{use.of}@STEP, or {use.of} for its last."
        )
    others, _ = other_run(name, use)
    config = TransformerConfig.from_dict(others[0].info["model"])
    if config.d_vocab < task.d_vocab or config.n_ctx < task.n_ctx:
        raise ValueError(
            f"{name}: the model of {str(use)!r} has {config.d_vocab} tokens and a "
            f"context of {config.n_ctx}; this task needs {task.d_vocab} and "
            f"{task.n_ctx}."
        )
    try:
        measure.check(config, task)
    except ValueError as error:
        raise ValueError(f"{name} {str(use)!r}: {error}") from error


def order(uses: Mapping[str, Mapping[str, Use]]) -> list[list[str]]:
    """Rows in the order in which they can be measured, in stages.

    Rows of one stage go through the checkpoints together; a row that needs more of
    another than its outcome at the same step waits for a later stage.

    Args:
        uses: Id of each row -> what it uses.

    Raises:
        ValueError: rows use each other in a circle; the message names them.

    Example:
        >>> eap = {"mask": Use("eap", "last")}
        >>> order({"kept": eap, "eap": {}, "same": {"now": Use("eap", "same")}})
        [['eap', 'same'], ['kept']]
    """
    graph = {
        row: {use.of for use in of.values() if use.of in uses}
        for row, of in uses.items()
    }
    try:
        sorted_rows = list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise ValueError(f"uses: rows use each other in a circle: {circle}.") from error
    stage: dict[str, int] = {}
    for row in sorted_rows:
        waits = [
            stage[use.of] + (use.at != "same")
            for use in uses[row].values()
            if use.of in uses
        ]
        stage[row] = max(waits, default=0)
    # Within a stage rows keep the study's order as far as they do not use each other.
    place = {row: i for i, row in enumerate(sorted_rows)}
    users = {row for row in uses if graph[row]}
    stages: list[list[str]] = [[] for _ in range(max(stage.values(), default=-1) + 1)]
    for row in [*(r for r in uses if r not in users), *sorted(users, key=place.get)]:  # pyright: ignore
        stages[stage[row]].append(row)
    return stages


def used_checkpoints(
    name: str,
    use: Use,
    wanted: Sequence[int],
    trajectories: Sequence[Trajectory],
) -> tuple[Sequence[Trajectory], tuple[int, ...]]:
    """The trajectories and steps of the models that are used.

    Args:
        name: What the row calls them.
        use: Of a model.
        wanted: Steps of the row, which are those of `all`.
        trajectories: This run's, one per seed.

    Raises:
        ValueError: the run that is named is not there, or lacks the step.
    """
    if use.is_run:
        others, step = other_run(name, use)
        # A run with fewer seeds is compared with by its first.
        seeds = range(len(trajectories))
        return [others[i] if i < len(others) else others[0] for i in seeds], (step,)
    if use.at == "all":
        return trajectories, tuple(wanted)
    return trajectories, (step_of(use, trajectories[0].steps),)


def step_of(use: Use, steps: Sequence[int]) -> int:
    """The one step of several that is meant by `first`, `last` or a number.

    Args:
        use: What says so.
        steps: Ascending.

    Example:
        >>> step_of(Use("model", "last"), [0, 10, 20])
        20
    """
    return {"first": steps[0], "last": steps[-1]}.get(use.at, use.at)  # pyright: ignore


def other_run(name: str, use: Use) -> tuple[list[Trajectory], int]:
    """The trajectories of another run, one per seed, and the step that is meant.

    Args:
        name: What the row calls it.
        use: The run's folder and the step.

    Raises:
        ValueError: there is no such run or step.
    """
    try:
        found = list(seeds_of_run(use.of).values())
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if not found:
        raise ValueError(
            f"{name}: {use.of!r} holds no run; give a folder that `jaxcirc run` has "
            "written, such as runs/induction, or a step of this run."
        )
    steps = found[0].steps
    chosen = step_of(use, steps)
    if chosen not in steps:
        raise ValueError(
            f"{name}: {use.of!r} has no step {chosen}; it has {len(steps)} from "
            f"{steps[0]} to {steps[-1]}."
        )
    return found, chosen
