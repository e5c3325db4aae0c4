"""A study file as a config: YAML, overrides of the command line, references."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import omegaconf
import pydantic
import yaml
from omegaconf import OmegaConf

from .._core import unknown
from ..tasks import TASKS
from ._config import StudyConfig, StudyError
from ._faults import list_faults
from ._metrics_section import gather_metrics
from ._options import explain
from ._packaged import packaged_path
from ._plain import check_interpolations, check_yaml


def load_config(source: str, overrides: Sequence[str] = ()) -> StudyConfig:
    """Read a study from a packaged name or a YAML file, with `key=value` overrides.

    Keys, types and the options that every study has are checked here; whether names and
    options of tasks, models and measurements fit together is for `prepare` to say.
    Interpolations such as `${training.steps}` may name other keys of the file and
    nothing of the environment.

    Args:
        source: The name or the file. A packaged study goes before a file of its name.
        overrides: Such as `training.steps=500`; values are read as YAML, and a key that
            is not there is added.

    Returns:
        The study as written, with overrides in it.

    Raises:
        StudyError: the file or a key cannot be understood; every fault is named.

    Example:
        >>> from jaxcirc.study import load_config
        >>> config = load_config("induction", ["training.steps=500", "out=runs/short"])
        >>> config.training["steps"], config.folder
        (500, 'runs/short')
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
            list_faults(source, explain(error, where="", known=known))
        ) from error


def _apply(config: omegaconf.DictConfig, override: str) -> None:
    """Change one key of a study.

    Raises:
        StudyError: the override is not of the form `key=value`, or fits nowhere.
    """
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

    A measurement, a task or a tracker without options may be just its name (no tracker
    is `none`), and a section called
    like the task adds to its options: `text.paths=[...]` is `task.paths=[...]`.
    """
    plain = dict(plain)
    if isinstance(plain.get("task"), str):
        plain["task"] = {"name": plain["task"]}
    if isinstance(track := plain.get("track", ""), str | None):
        named = track not in (None, "", "none")
        plain["track"] = {"name": track} if named else {}
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
        rows = [{"name": r} if isinstance(r, str) else r for r in rows]
        plain["measure"] = [_with_task_written_out(row) for row in rows]
    return plain


def _with_task_written_out(row: Any) -> Any:
    """A row whose task, if it names one, has its options beside its name."""
    if not isinstance(row, dict) or not isinstance(row.get("task"), str):
        return row
    # A reference to another part of the study is not known yet.
    if row["task"].startswith("${"):
        return row
    return row | {"task": {"name": row["task"]}}


def _read(source: str) -> str:
    """The text of a study file.

    Raises:
        StudyError: there is no such file or packaged study, or it is not UTF-8.
    """
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
