"""Checkpoints that somebody else has trained, in the place of a training run."""

from collections.abc import Callable
from typing import Any

from ..._core import find
from ...checkpoints import READERS
from ._ready import Ready
from ._source import SourceSpec


def _reader() -> Callable[..., Any]:
    # Other people's formats are read by a package that is installed beside this one.
    return find(READERS, "published", kind="reader of checkpoints").build


def build_published(**options: Any) -> Ready:
    """Checkpoints that somebody else has published; several runs are seeds of one.

    Args:
        **options: Of the reader `published`, such as `source`.

    Raises:
        ValueError: there is no such run, or several differ in steps or config.
        CheckpointError: a file is missing or damaged.
    """
    return Ready("trajectory", _reader()(**options))


SPEC = SourceSpec(
    section="trajectory",
    summary="measure checkpoints that somebody else has published",
    trains=False,
    options=_reader,
    build=build_published,
)
