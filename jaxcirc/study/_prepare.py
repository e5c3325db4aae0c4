"""A config as objects, checked to fit together before anything runs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from .._core import find
from ..models import MODELS, TransformerConfig
from ..tasks import AbstractTask
from ._config import Prepared, StudyConfig, StudyError
from ._faults import attempt, list_faults
from ._options import check_options
from ._prepare_rows import build_rows, too_small_for
from ._prepare_track import build_track
from ._sources import SOURCES, AbstractSource
from ._task import build_task


def prepare(config: StudyConfig) -> Prepared:
    """Build what a study names and check that it fits together, before anything runs.

    The task is made, with its data; models are described and not drawn, and
    measurements are checked without running them. Published checkpoints are asked for
    their steps and config. Rows of installed packages are found by their names.

    Args:
        config: The study as written; see `load_config`.

    Returns:
        The task, the model's config, the source of checkpoints and the measurements.

    Raises:
        StudyError: a name, an option or a step is wrong; every fault found is named.

    Example:
        >>> from jaxcirc.study import load_config, prepare
        >>> prepared = prepare(load_config("grokking_quick", ["training.seeds=2"]))
        >>> prepared.source.seeds, prepared.model.n_layers
        (2, 1)
    """
    faults: list[str] = []
    found = _build_source(config, faults)
    source = None if found is None else found[0]
    words = _of_models(config, source, faults)
    task = build_task(config.task, "task", faults, words)
    model = None
    if task is not None and found is not None:
        model = _model_of(config, found[0], task, faults)
    measurements = []
    if task is not None and model is not None and source is not None:
        measurements = build_rows(config, task, model, source, words, faults)
    track = build_track(config, faults)
    if faults or task is None or model is None or found is None:
        # A fault of the whole study shows once, not for every measurement.
        raise StudyError(list_faults(config.name, list(dict.fromkeys(faults))))
    return Prepared(config, task, model, *found, tuple(measurements), track)


def _build_source(
    config: StudyConfig, faults: list[str]
) -> tuple[AbstractSource, dict[str, Any]] | None:
    """The source of checkpoints, and the options that the study gives for it."""
    given = [spec for spec in SOURCES if getattr(config, spec.section)]
    spec = next((s for s in given if not s.trains), SOURCES[0])
    others = [s.section for s in given if s is not spec]
    for section in others + ["model"] * bool(config.model and not spec.trains):
        faults.append(
            f"{section}: a study of a `{spec.section}` trains nothing; leave this out"
            if section in ("model", "training")
            else f"{section}: checkpoints come from `{spec.section}`; leave one out"
        )
    options = getattr(config, spec.section)
    checked, wrong = check_options(spec.options(), options, where=spec.section)
    faults += wrong
    built = None if wrong else attempt(lambda: spec.build(**checked), faults)
    return None if built is None else (built, checked)


def _of_models(
    config: StudyConfig, source: AbstractSource | None, faults: list[str]
) -> dict[str, Any]:
    """The tokenizer of the models that are there, for tasks that read text by one."""
    if source is None or source.model is None:
        return {}
    known = {"most_tokens": source.model.d_vocab}
    # Not read where the study names another.
    if "tokenizer" in config.task:
        return known
    return known | {"tokenizer": attempt(lambda: source.tokenizer, faults)}


def _model_of(
    config: StudyConfig, source: AbstractSource, task: AbstractTask, faults: list[str]
) -> TransformerConfig | None:
    """The source's own model, if the task fits it, or the one that the study names."""
    model = source.model
    if model is None:
        return _build_model(config, (task, *source.tasks), faults)
    if config.model and source.is_own:
        faults.append(
            f"model: training starts from {source.name}, whose model it is; leave this "
            "out"
        )
    if small := too_small_for(task, model):
        faults.append(f"task: it has {', '.join(small)} ({source.name})")
        return None
    return model


def _build_model(
    config: StudyConfig, tasks: Sequence[AbstractTask], faults: list[str]
) -> TransformerConfig | None:
    """The config of the model that a study names, or None where a fault was found.

    Args:
        config: The study.
        tasks: All that it learns, its own first.
        faults: Grows by what is wrong.
    """
    options = dict(config.model)
    try:
        spec = find(MODELS, str(options.pop("family", "")), kind="model family")
    except ValueError as error:
        faults.append(f"model.family: {error}")
        return None
    # Whatever is learnt one after the other is learnt by one model.
    sizes = {
        "d_vocab": max(task.d_vocab for task in tasks),
        "n_ctx": max(task.n_ctx for task in tasks),
    }
    checked, wrong = check_options(
        spec.build, options, where="model", provided=list(sizes)
    )
    faults += wrong
    for name, size in sizes.items():
        if name in checked and checked[name] < size:
            faults.append(
                f"model.{name}: the task needs at least {size}; got {checked[name]}"
            )
    if faults:
        return None

    def build() -> TransformerConfig:
        made = spec.build(**(sizes | checked))
        if all(task.d_vocab_out == task.d_vocab for task in tasks):
            return made
        answers = max(task.d_vocab_out for task in tasks)
        return dataclasses.replace(made, d_vocab_out=answers)

    return attempt(build, faults)
