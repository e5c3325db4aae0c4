"""JSON that somebody else has written, bounded before it is parsed."""

import json
from typing import Any

from .._tensors import CheckpointError

# A value takes up to a hundred times its text in memory, so values are counted too.
_MOST_VALUES = 4_000_000


def parse_json(data: bytes, name: str) -> dict[str, Any]:
    """The mapping that a file's text is.

    Text is somebody else's, so it is bounded first: parsed values can take a hundred
    times their text in memory, and no checkpoint's file holds 4 million of them.

    Args:
        data: The text, in UTF-8.
        name: How messages call the file.

    Returns:
        The mapping, of plain Python values.

    Raises:
        CheckpointError: the text is no JSON or no mapping, is nested deeper than
            Python's own limit, or holds too many values.

    Example:
        >>> from jaxcirc.checkpoints.formats import parse_json
        >>> parse_json(b'{"n_layer": 2}', "config.json")
        {'n_layer': 2}
    """
    if data.count(b",") + data.count(b"[") + data.count(b"{") > _MOST_VALUES:
        raise CheckpointError(
            f"{name} holds more than {_MOST_VALUES:,} values, as no checkpoint's does; "
            "it is damaged."
        )
    try:
        value = json.loads(data.decode())
    except RecursionError as error:
        raise CheckpointError(f"{name} is damaged: it is nested too deeply.") from error
    except ValueError as error:
        raise CheckpointError(f"{name} is damaged: {error}.") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{name} is damaged: it holds no mapping.")
    return value
