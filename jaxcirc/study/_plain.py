"""What a study file may hold: plain values, and references to its own keys."""

import re
from typing import Any

import yaml

# Studies are a few levels deep; a parser runs out of stack at about a thousand.
MAX_DEPTH = 60
MAX_CHARACTERS = 10_000_000
_RESOLVER = re.compile(r"\$\{\s*([\w.]+)\s*:[^}]*\}?")
_OPENING = (yaml.BlockSequenceStartToken, yaml.BlockMappingStartToken)
_OPENING += (yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken)
_CLOSING = (yaml.BlockEndToken, yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)


def check_yaml(text: str) -> None:
    """Refuse a text that would exhaust the parser, before it is parsed.

    Raises:
        ValueError: it is too long or too deeply nested, or repeats parts by aliases.
        yaml.YAMLError: it is not YAML.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"a study of {len(text):,} characters is none; it is not read")
    depth = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > MAX_DEPTH:
            line = token.start_mark.line + 1
            raise ValueError(
                f"line {line}: brackets or lists are nested more than {MAX_DEPTH} deep"
            )
        if isinstance(token, yaml.AliasToken):
            # Aliases of aliases can stand for more values than memory holds.
            line = token.start_mark.line + 1
            raise ValueError(
                f"line {line}: aliases (*{token.value}) are not read; refer to another "
                "key by ${key}"
            )


def check_interpolations(plain: Any) -> None:
    """Refuse `${name:...}`: a study refers to its own keys alone.

    What a study says goes into a report that is passed on, and so must not be able to
    read the environment of whoever runs it.

    Raises:
        ValueError: a value calls a resolver, such as `${oc.env:HOME}`.
    """
    for text in _texts(plain):
        if found := _RESOLVER.search(text):
            raise ValueError(
                f"{found[0]!r} would read something outside the study; only keys of "
                "the study itself can be referred to, such as ${training.steps}. Give "
                'the value on the command line instead: key="$NAME"'
            )


def _texts(plain: Any):
    """Every text among nested values, keys included."""
    if isinstance(plain, str):
        yield plain
    elif isinstance(plain, dict):
        for key, value in plain.items():
            yield from _texts(key)
            yield from _texts(value)
    elif isinstance(plain, list):
        for value in plain:
            yield from _texts(value)
