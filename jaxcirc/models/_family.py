"""A row of the model catalogue."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ._config import TransformerConfig


class ModelSpec(NamedTuple):
    """A model family: a named way to pick the parts of a `Transformer`.

    Args:
        name: What a study calls it.
        summary: One line for `jaxcirc list`.
        build: Keyword options -> config. `d_vocab` and `n_ctx` come first; a study
            fills them in from its task.
        tiny: Options of a small instance, for tests.
    """

    name: str
    summary: str
    build: Callable[..., TransformerConfig]
    tiny: Mapping[str, Any]


def variant(
    build: Callable[..., TransformerConfig],
    parts: Callable[[TransformerConfig], Mapping[str, Any]],
) -> Callable[..., TransformerConfig]:
    """A family that is another one, options included, with some parts exchanged."""

    @functools.wraps(build)
    def built(*args: Any, **options: Any) -> TransformerConfig:
        config = build(*args, **options)
        return dataclasses.replace(config, **parts(config))

    return built
