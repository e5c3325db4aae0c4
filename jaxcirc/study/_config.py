"""What a study says, checked as a whole before anything runs."""

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
import omegaconf
import pydantic
import yaml
from omegaconf import OmegaConf

from .._core import find, named_leaves, unknown
from ..models import MODELS, TransformerConfig
from ..tasks import TASKS, AbstractTask
from ._measurements import (
    MEASUREMENTS,
    SCOPES,
    AbstractMeasurement,
    Once,
    Use,
    parse_use,
)
from ._metrics_section import gather_metrics
from ._options import check_options, explain
from ._packaged import packaged_path
from ._plain import check_interpolations, check_yaml
from ._sources import SOURCES, AbstractSource
from ._uses import check_use, order


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
    uses: dict[str, str] = {}

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
    run: dict[str, Any] = {}
    measure: list[MeasureConfig] = []
    steps: Steps = None
    out: str = ""

    @property
    def folder(self) -> str:
        """Where the run goes."""
        return self.out or f"runs/{self.name}"


class Measurement(NamedTuple):
    """A row that is ready to run.

    Args:
        id: What its results are called.
        name: Of its kind, in the catalogue.
        options: As the study gives them.
        steps: Checkpoints that it sees; none of a row that runs once.
        measure: What it does.
        uses: What else it sees, by name: what the study says, and what its options do.
        asked: Names that the study itself says.
    """

    id: str
    name: str
    options: dict[str, Any]
    steps: tuple[int, ...]
    measure: AbstractMeasurement
    uses: Mapping[str, Use] = {}
    asked: frozenset[str] = frozenset()

    @property
    def places(self) -> tuple[int | None, ...]:
        """Where its cells are: its steps, or one without a step."""
        return (None,) if isinstance(self.measure, Once) else self.steps


class Prepared(NamedTuple):
    """Everything a run needs, checked to fit together.

    Args:
        config: The study as written.
        task: What is learnt.
        model: What its checkpoints are of.
        source: Where they come from.
        said: The options that the study gives for that.
        measurements: What is done to them.
    """

    config: StudyConfig
    task: AbstractTask
    model: TransformerConfig
    source: AbstractSource
    said: dict[str, Any]
    measurements: tuple[Measurement, ...]

    @property
    def stages(self) -> list[list[Measurement]]:
        """Rows in the order in which they are measured; see `order`."""
        rows = {row.id: row for row in self.measurements}
        found = order({row.id: row.uses for row in self.measurements})
        return [[rows[row] for row in stage] for stage in found]

    @property
    def in_order(self) -> list[Measurement]:
        """Rows after all that they use."""
        return [row for stage in self.stages for row in stage]

    def identity(self) -> dict[str, Any]:
        """What decides the weights: a folder begun with another is refused."""
        identity = {
            "task": dict(self.config.task),
            "data": _fingerprint(self.task),
            "model": self.model.to_dict(),
        }
        identity |= self.source.identity(self.said)
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
    found = _build_source(config, faults)
    source = None if found is None else found[0]
    task = _build_task(config, source, faults)
    model = None
    if task is not None and found is not None:
        model = _model_of(config, found[0], task, faults)
    measurements = []
    if task is not None and model is not None and source is not None:
        measurements = _build_measurements(config, task, model, source, faults)
    if faults or task is None or model is None or found is None:
        # A fault of the whole study shows once, not for every measurement.
        raise StudyError(_list(config.name, list(dict.fromkeys(faults))))
    return Prepared(config, task, model, *found, tuple(measurements))


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
    # Names of installed packages are known without importing them; earlier ones of ours
    # are read on.
    earlier = [name for spec in TASKS.own for name in spec.formerly]
    for name in (*TASKS.names, *earlier):
        task, own = plain.get("task"), plain.get(name)
        named = isinstance(task, dict) and task.get("name") == name
        if named and isinstance(own, dict):
            plain["task"] = task | plain.pop(name)
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


def _build_source(
    config: StudyConfig, faults: list[str]
) -> tuple[AbstractSource, dict[str, Any]] | None:
    """Where checkpoints come from, and what the study says of it."""
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
    built = None if wrong else _try(lambda: spec.build(**checked), faults)
    return None if built is None else (built, checked)


def _build_task(
    config: StudyConfig, source: AbstractSource | None, faults: list[str]
) -> AbstractTask | None:
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
            options["tokenizer"] = _try(lambda: source.tokenizer, faults)
        options.setdefault("most_tokens", source.model.d_vocab)
    checked, wrong = check_options(spec.build, options, where="task")
    faults += wrong
    return None if wrong else _try(lambda: spec.build(**checked), faults)


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


def _build_measurements(
    config: StudyConfig,
    task: AbstractTask,
    model: TransformerConfig,
    source: AbstractSource,
    faults: list[str],
) -> list[Measurement]:
    measurements = []
    taken: set[str] = set()
    for place, row in enumerate(config.measure):
        where = f"measure[{place}]"
        try:
            spec = find(MEASUREMENTS, row.name, kind="measurement")
        except ValueError as error:
            now = _RENAMED.get(row.name)
            told = f"{row.name!r} is called {now!r} now; write that" if now else error
            faults.append(f"{where}: {told}")
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
            source,
            f"{where}.steps" if own else "steps",
            faults,
        )
        measure = (
            None if wrong else _try(lambda s=spec, c=checked: s.build(**c), faults)
        )
        if measure is None:
            continue
        if not isinstance(measure, SCOPES):
            names = ", ".join(scope.__name__ for scope in SCOPES)
            faults.append(f"{where}: {row.name} must be of one of the scopes {names}")
            continue
        if isinstance(measure, Once):
            steps = ()
            if own:
                faults.append(
                    f"{where}.steps: {row.name} runs once, of no checkpoint; leave "
                    "this out"
                )
        _try(lambda m=measure: m.check(model, task), faults)
        uses = _try(lambda m=measure, r=row: _uses(m, r), faults)
        made = Measurement(own_id, row.name, checked, steps, measure)
        if uses is not None:
            made = made._replace(uses=uses, asked=frozenset(row.uses))
        measurements.append(made)
    rows = {row.id: row.steps for row in measurements}
    for row in measurements:
        for name, use in row.uses.items():
            given = (row.measure, rows, source.checkpoint_steps, task)
            _try(lambda n=name, u=use, g=given: check_use(n, u, *g), faults)
    if not faults:
        _try(lambda: order({row.id: row.uses for row in measurements}), faults)
    return measurements


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


# Measurements that study files of earlier versions know by another name.
_RENAMED = {"circuits": "ov_qk"}


def _select(
    steps: Steps, source: AbstractSource, where: str, faults: list[str]
) -> tuple[int, ...]:
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
