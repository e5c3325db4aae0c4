"""A config as objects, checked to fit together before anything runs."""

import dataclasses
import inspect
from typing import Any

from .._core import find
from ..models import MODELS, TransformerConfig
from ..tasks import TASKS, AbstractTask
from ._config import Prepared, StudyConfig, StudyError
from ._faults import attempt, list_faults
from ._options import check_options
from ._prepare_rows import build_rows
from ._prepare_track import build_track
from ._sources import SOURCES, AbstractSource


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
    task = _build_task(config, source, faults)
    model = None
    if task is not None and found is not None:
        model = _model_of(config, found[0], task, faults)
    measurements = []
    if task is not None and model is not None and source is not None:
        measurements = build_rows(config, task, model, source, faults)
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


def _build_task(
    config: StudyConfig, source: AbstractSource | None, faults: list[str]
) -> AbstractTask | None:
    """The task that a study names, or None where something is wrong with it."""
    options = dict(config.task)
    try:
        spec = find(TASKS, str(options.pop("name", "")), kind="task")
    except ValueError as error:
        faults.append(f"task.name: {error}")
        return None
    takes_tokenizer = "tokenizer" in inspect.signature(spec.build).parameters
    if takes_tokenizer and source is not None and source.model is not None:
        # The text's tokens are those of the models, unless the study says otherwise.
        if "tokenizer" not in options:
            options["tokenizer"] = attempt(lambda: source.tokenizer, faults)
        options.setdefault("most_tokens", source.model.d_vocab)
    checked, wrong = check_options(spec.build, options, where="task")
    faults += wrong
    return None if wrong else attempt(lambda: spec.build(**checked), faults)


def _model_of(
    config: StudyConfig, source: AbstractSource, task: AbstractTask, faults: list[str]
) -> TransformerConfig | None:
    """The source's own model, if the task fits it, or the one that the study names."""
    model = source.model
    if model is None:
        return _build_model(config, task, faults)
    if config.model and source.is_own:
        faults.append(
            f"model: training starts from {source.name}, whose model it is; leave this "
            "out"
        )
    small = [
        f"{what} of {size:,}, more than the model's {has:,}"
        for what, size, has in (
            ("tokens", task.d_vocab, model.d_vocab),
            ("answers", task.n_answers, model.sizes.d_vocab_out),
            ("a context", task.n_ctx, model.n_ctx),
        )
        if size > has
    ]
    if small:
        faults.append(f"task: it has {', '.join(small)} ({source.name})")
        return None
    return model


def _build_model(
    config: StudyConfig, task: AbstractTask, faults: list[str]
) -> TransformerConfig | None:
    """The config of the model that a study names, or None where a fault was found."""
    options = dict(config.model)
    try:
        spec = find(MODELS, str(options.pop("family", "")), kind="model family")
    except ValueError as error:
        faults.append(f"model.family: {error}")
        return None
    sizes = {"d_vocab": task.d_vocab, "n_ctx": task.n_ctx}
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
        if task.d_vocab_out == task.d_vocab:
            return made
        return dataclasses.replace(made, d_vocab_out=task.d_vocab_out)

    return attempt(build, faults)
