"""Check the options of a catalogue row against the function that takes them."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pydantic

from .._core import unknown


def check_options(
    build: Callable[..., Any],
    options: Mapping[str, Any],
    *,
    where: str,
    provided: Sequence[str] = (),
) -> tuple[dict[str, Any], list[str]]:
    """The options with their types put right, and what is wrong with them.

    Args:
        build: The function whose parameters are the options.
        options: Options as read from a study.
        where: Path of the section, for messages.
        provided: Required parameters that somebody else will fill in.
    """
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(build).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        missing = None if name in provided else ...
        required = parameter.default is parameter.empty
        # A function of somebody else's may say no types; its options are then anything.
        kind = Any if parameter.annotation is parameter.empty else parameter.annotation
        fields[name] = (kind, missing if required else parameter.default)
    schema = pydantic.create_model(
        "Options", __config__=pydantic.ConfigDict(extra="forbid"), **fields
    )
    try:
        checked = schema.model_validate(dict(options))
    except pydantic.ValidationError as error:
        return {}, explain(error, where=where, known=list(fields))
    # Without defaults: a study's identity is what it says.
    return checked.model_dump(include=set(options)), []


def explain(
    error: pydantic.ValidationError, *, where: str, known: Sequence[str]
) -> list[str]:
    """A line for each thing that is wrong: the key, what it is, what it may be.

    Args:
        error: What pydantic says.
        where: Path of the section.
        known: Keys that there are, for those that are misspelt.
    """
    lines = []
    for item in error.errors():
        path = ".".join(str(part) for part in item["loc"])
        full = f"{where}.{path}" if where else path
        if item["type"] == "extra_forbidden":
            lines.append(f"{full}: {unknown('key', str(item['loc'][-1]), known)}")
        elif item["type"] == "missing":
            lines.append(f"{full}: this key is required")
        else:
            message = item["msg"][:1].lower() + item["msg"][1:]
            lines.append(f"{full}: {message}; got {item['input']!r}")
    return lines
