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
    """A family that is another one, options included, with some parts exchanged.

    An option that the family's parts would set aside is refused when it is built.

    Args:
        build: The other family's function from options to a config.
        parts: What differs, given the other family's config.

    Returns:
        A `build` function; it raises a ValueError that names such an option.
    """

    @functools.wraps(build)
    def built(*args: Any, **options: Any) -> TransformerConfig:
        config = build(*args, **options)
        own = parts(config)
        for name in own.keys() & options.keys():
            rest = {k: v for k, v in options.items() if k != name}
            ignored = parts(build(*args, **rest))[name] == own[name]
            if ignored and own[name] != options[name]:
                raise ValueError(
                    f"`{name}` is {own[name]!r} in this family; got "
                    f"{options[name]!r}. Leave it out, or take another family."
                )
        return dataclasses.replace(config, **own)

    return built
