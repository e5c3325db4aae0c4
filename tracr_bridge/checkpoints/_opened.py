"""A checkpoint whose files are known and whose weights are not read yet."""

from collections.abc import Callable
from typing import NamedTuple

from jaxcirc.models import Transformer, TransformerConfig


class Opened(NamedTuple):
    """A model that can be read.

    A run is checked by its configs, which cost nothing beside weights.

    Args:
        config: Its config.
        read: Reads its weights; errors of single tensors are found then.
    """

    config: TransformerConfig
    read: Callable[[], Transformer]
