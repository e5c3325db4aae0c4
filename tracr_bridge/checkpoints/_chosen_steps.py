"""Which of a run's checkpoints a user asks for."""

from collections.abc import Mapping, Sequence

from jaxcirc.checkpoints import CheckpointError, schedule


def chosen_steps(
    source: str,
    names: Mapping[int, str],
    named: str | None,
    steps: Sequence[int] | Mapping[int, str] | None,
) -> dict[int, str]:
    """The steps that were asked for, ascending, each known to be there.

    Args:
        source: How messages call the run.
        names: Step -> name of what there is.
        named: A schedule whose steps are wanted, those that there are.
        steps: The steps that are wanted; a mapping says `names` itself, and means all.

    Raises:
        CheckpointError: the source has no steps at all.
        ValueError: a step is not there, or none of a schedule is.
    """
    there = dict(sorted(names.items()))
    if not there:
        raise CheckpointError(
            f"{source} has no checkpoints whose names tell a step, such as step1000, "
            "checkpoint-1000 or 1000.pt. Give `steps` as step -> name."
        )
    if steps is not None and not isinstance(steps, Mapping):
        for step in steps:
            if step not in there:
                near = sorted(there, key=lambda s: abs(s - step))[:4]
                raise ValueError(
                    f"{source} has no checkpoint at step {step}; near ones are "
                    f"{', '.join(map(str, sorted(near)))}."
                )
        return {step: there[step] for step in sorted(steps)}
    if named is not None:
        wanted = set(schedule(named, max(there)))
        chosen = {step: name for step, name in there.items() if step in wanted}
        if not chosen:
            raise ValueError(f"{source} has no step of the schedule {named!r}.")
        return chosen
    return there
