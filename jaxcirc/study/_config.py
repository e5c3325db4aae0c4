"""What a study says, checked as a whole before anything runs."""

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
import omegaconf
import pydantic
import yaml
from omegaconf import OmegaConf

from .._core import find, named_leaves, unknown
from ..models import TransformerConfig
from ..tasks import AbstractTask
from ..training import Training
from ._catalogues import MODELS, TASKS
from ._measurements import MEASUREMENTS, AbstractMeasurement
from ._metrics_section import gather_metrics
from ._options import check_options, explain
from ._packaged import packaged_path
from ._plain import check_interpolations, check_yaml
from ._published import Published, published
from ._reference import check_reference


class StudyError(ValueError):
    """A study file or an override says something that cannot be run."""


# Far more than any training has, and few enough to be counted.
Step = Annotated[int, pydantic.Field(ge=0, lt=2**53)]


class StepRange(pydantic.BaseModel, extra="forbid", frozen=True):
    """Steps from `start` to `end`, both included, `step` apart."""

    start: Step
    end: Step
    step: int = pydantic.Field(gt=0)


Steps = list[Step] | StepRange | None


class MeasureConfig(pydantic.BaseModel, extra="allow", frozen=True):
    """One measurement: its name in the catalogue, and its options.

    Its `id` names a folder, a node of the results and a part of the page.
    """

    name: str
    id: str = pydantic.Field(default="", pattern=r"^(?:\w[\w .,:+@=()-]*)?$")
    steps: Steps = None

    @property
    def options(self) -> dict[str, Any]:
        """What goes to the measurement itself."""
        return dict(self.model_extra or {})


class StudyConfig(pydantic.BaseModel, extra="forbid", frozen=True):
    """A study as written; `prepare` turns it into objects."""

    name: str = pydantic.Field(pattern=r"^\w[\w.-]*$")
    about: str = ""
    task: dict[str, Any]
    model: dict[str, Any] = {}
    training: dict[str, Any] = {}
    trajectory: dict[str, Any] = {}
    measure: list[MeasureConfig] = []
    steps: Steps = None
    out: str = ""

    @property
    def folder(self) -> str:
        """Where the run goes."""
        return self.out or f"runs/{self.name}"


class Measurement(NamedTuple):
    """A measurement that is ready to run."""

    id: str
    name: str
    options: dict[str, Any]
    steps: tuple[int, ...]
    measure: AbstractMeasurement


class Prepared(NamedTuple):
    """Everything a run needs, checked to fit together."""

    config: StudyConfig
    task: AbstractTask
    model: TransformerConfig
    training: Training | Published
    measurements: tuple[Measurement, ...]

    def identity(self) -> dict[str, Any]:
        """What decides the weights: a folder begun with another is refused."""
        identity = {
            "task": dict(self.config.task),
            "data": _fingerprint(self.task),
            "model": self.model.to_dict(),
        }
        if isinstance(self.training, Published):
            identity["trajectory"] = self.training.options
        else:
            fields = Training.__dataclass_fields__
            identity["training"] = {k: getattr(self.training, k) for k in fields}
        return json.loads(json.dumps(identity))


def load_config(source: str, overrides: Sequence[str] = ()) -> StudyConfig:
    """Read a study from a packaged name or a YAML file, with `key=value` overrides.

    Raises:
        StudyError: the file or a key cannot be understood; every fault is named.
    """
    path = packaged_path(source)
    text = path.read_text(encoding="utf-8") if path else _read(source)
    try:
        check_yaml(text)
        if not isinstance(yaml.safe_load(text), dict):
            raise StudyError(f"{source}: a study is a mapping of keys to values.")
        # Written out first, so that overrides reach the options of every row.
        plain = _write_out(OmegaConf.to_container(OmegaConf.create(text)))  # pyright: ignore
        config = OmegaConf.create(plain)
        for override in overrides:
            _apply(config, override)
        check_interpolations(OmegaConf.to_container(config))
        plain = _write_out(OmegaConf.to_container(config, resolve=True))  # pyright: ignore
        plain = gather_metrics(plain)
    except yaml.YAMLError as error:
        raise StudyError(f"{source} is not valid YAML: {error}") from error
    except StudyError:
        raise
    except (omegaconf.errors.OmegaConfBaseException, ValueError) as error:
        raise StudyError(f"{source}: {error}") from error
    try:
        return StudyConfig.model_validate(plain)
    except pydantic.ValidationError as error:
        known = list(StudyConfig.model_fields)
        raise StudyError(
            _list(source, explain(error, where="", known=known))
        ) from error


def prepare(config: StudyConfig) -> Prepared:
    """Build what a study names and check that it fits together.

    Raises:
        StudyError: a name, an option or a step is wrong; every fault found is named.
    """
    faults: list[str] = []
    if config.trajectory:
        training = _build_published(config, faults)
    else:
        training = _build_training(config, faults)
    task = _build_task(config, training, faults)
    model = None
    if task is not None and isinstance(training, Published):
        model = _published_model(training, task, faults)
    elif task is not None and not config.trajectory:
        model = _build_model(config, task, faults)
    measurements = []
    if task is not None and model is not None and training is not None:
        measurements = _build_measurements(config, task, model, training, faults)
    if faults or task is None or model is None or training is None:
        # A fault of the whole study shows once, not for every measurement.
        raise StudyError(_list(config.name, list(dict.fromkeys(faults))))
    return Prepared(config, task, model, training, tuple(measurements))


def _apply(config: omegaconf.DictConfig, override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise StudyError(
            f"override {override!r} is not of the form key=value, such as "
            "training.steps=500."
        )
    try:
        check_yaml(value)
        parsed = OmegaConf.create(f"value: {value}")["value"]  # pyright: ignore
        OmegaConf.update(config, key, parsed, merge=False)
    except (
        yaml.YAMLError,
        omegaconf.errors.OmegaConfBaseException,
        LookupError,
        ValueError,
        TypeError,
    ) as error:
        raise StudyError(f"override {override!r}: {error}") from error


def _write_out(plain: dict[str, Any]) -> dict[str, Any]:
    """The same study written out.

    A measurement or a task without options may be just its name, and a section called
    like the task adds to its options: `text.paths=[...]` is `task.paths=[...]`.
    """
    plain = dict(plain)
    if isinstance(plain.get("task"), str):
        plain["task"] = {"name": plain["task"]}
    for spec in TASKS:
        task, own = plain.get("task"), plain.get(spec.name)
        named = isinstance(task, dict) and task.get("name") == spec.name
        if named and isinstance(own, dict):
            plain["task"] = task | plain.pop(spec.name)
    if isinstance(plain.get("measure"), list):
        rows = plain["measure"]
        plain["measure"] = [{"name": r} if isinstance(r, str) else r for r in rows]
    return plain


def _read(source: str) -> str:
    from ._packaged import PACKAGED

    path = Path(source)
    if not path.is_file():
        names = [row.name for row in PACKAGED]
        raise StudyError(
            f"{source}: no such file, and {unknown('packaged study', source, names)}"
        )
    try:
        # Whatever the terminal speaks, YAML is UTF-8.
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{source} cannot be read as UTF-8: {error}") from error


def _list(source: str, faults: Sequence[str]) -> str:
    if len(faults) == 1:
        return f"{source}: {faults[0]}"
    return "\n".join([f"{source}: {len(faults)} things to mend", *faults])


def _build_task(
    config: StudyConfig, training: Training | Published | None, faults: list[str]
) -> AbstractTask | None:
    options = dict(config.task)
    try:
        spec = find(TASKS, str(options.pop("name", "")), kind="task")
    except ValueError as error:
        faults.append(f"task.name: {error}")
        return None
    takes_tokenizer = "tokenizer" in inspect.signature(spec.build).parameters
    if takes_tokenizer and isinstance(training, Published):
        # The text's tokens are the published model's, unless the study says otherwise.
        if "tokenizer" not in options:
            options["tokenizer"] = _try(
                lambda: training.trajectories[0].tokenizer, faults
            )
        options.setdefault("most_tokens", training.model.d_vocab)
    checked, wrong = check_options(spec.build, options, where="task")
    faults += wrong
    return None if wrong else _try(lambda: spec.build(**checked), faults)


def _build_published(config: StudyConfig, faults: list[str]) -> Published | None:
    for other in ("model", "training"):
        if getattr(config, other):
            faults.append(
                f"{other}: a study of a `trajectory` trains nothing; leave this out"
            )
    checked, wrong = check_options(published, config.trajectory, where="trajectory")
    faults += wrong
    found = None if wrong else _try(lambda: published(**checked), faults)
    return None if found is None else Published(found, checked)


def _published_model(
    training: Published, task: AbstractTask, faults: list[str]
) -> TransformerConfig | None:
    model = training.model
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
        faults.append(
            f"task: it has {', '.join(small)} ({training.trajectories[0].name})"
        )
        return None
    return model


def _build_model(
    config: StudyConfig, task: AbstractTask, faults: list[str]
) -> TransformerConfig | None:
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

    return _try(build, faults)


def _build_training(config: StudyConfig, faults: list[str]) -> Training | None:
    checked, wrong = check_options(Training, config.training, where="training")
    faults += wrong
    return None if wrong else _try(lambda: Training(**checked), faults)


def _build_measurements(
    config: StudyConfig,
    task: AbstractTask,
    model: TransformerConfig,
    training: Training | Published,
    faults: list[str],
) -> list[Measurement]:
    measurements = []
    taken: set[str] = set()
    for place, row in enumerate(config.measure):
        where = f"measure[{place}]"
        try:
            spec = find(MEASUREMENTS, row.name, kind="measurement")
        except ValueError as error:
            faults.append(f"{where}: {error}")
            continue
        own_id = row.id or row.name
        if own_id in taken:
            faults.append(
                f"{where}: a measurement {own_id!r} is there already; give this one "
                f"an `id` of its own, such as `id: {own_id}_2`"
            )
        taken.add(own_id)
        if own_id in ("training", "changes"):
            faults.append(
                f"{where}: {own_id!r} cannot be an `id`: the results have a node of "
                "that name already; choose another"
            )
        checked, wrong = check_options(
            spec.build, row.options, where=f"{where} ({row.name})"
        )
        faults += wrong
        own = row.steps is not None
        steps = _select(
            row.steps if own else config.steps,
            training,
            f"{where}.steps" if own else "steps",
            faults,
        )
        measure = (
            None if wrong else _try(lambda s=spec, c=checked: s.build(**c), faults)
        )
        if measure is not None:
            _try(lambda m=measure: m.check(model, task), faults)
            _try(
                lambda m=measure: check_reference(m, training.checkpoint_steps, task),
                faults,
            )
            measurements.append(Measurement(own_id, row.name, checked, steps, measure))
    return measurements


def _select(
    steps: Steps, training: Training | Published, where: str, faults: list[str]
) -> tuple[int, ...]:
    there = training.checkpoint_steps
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
            f"{missing[0]} is {near}"
            + ("" if isinstance(training, Published) else _SEE)
        )
    return tuple(sorted(set(wanted)))


_SEE = ". See training.checkpoints and training.every"


def _try(build, faults: list[str]):
    try:
        return build()
    except (ValueError, ImportError, OSError) as error:
        faults.append(str(error))
    except (ArithmeticError, LookupError, TypeError, MemoryError) as error:
        # A value that no check foresaw is still a value of the study.
        faults.append(f"{type(error).__name__}: {error}")
    return None


def _fingerprint(task: AbstractTask) -> str:
    # Two runs on files that have changed in between are not the same run.
    state = hashlib.blake2b(digest_size=12)
    for name, leaf in named_leaves(task).items():
        state.update(name.encode())
        state.update(np.asarray(jax.device_get(leaf)).tobytes())
    return state.hexdigest()
