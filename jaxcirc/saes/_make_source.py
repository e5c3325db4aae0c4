"""The source of activations that the arguments of `train` describe."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Array, Key

from .._core import stack_trees
from ..models import Transformer
from ._array_activations import ArrayActivations, read_rows
from ._checks import require
from ._model_activations import ModelActivations
from ._sampled import SampledActivations, Sampler
from ._source import AbstractSource
from ._training import Training

# Rows that one draw of an array or a sampler gives, where memory is no matter.
ROWS_PER_DRAW = 4096


def make_source(
    models: Transformer | Sequence[Transformer] | None,
    site: str | Sequence[str] | None,
    target: str | Sequence[str] | None,
    data: Any,
    training: Training,
    *,
    key: Key[Array, ""],
) -> AbstractSource:
    """Where activations come from.

    Args:
        models: One model, a stack or a sequence of checkpoints, or None.
        site: Where to read; None without models.
        target: Where to read what is to be given instead, if anywhere else.
        data: What `train` takes as data.
        training: Which positions count, and how much is drawn at once.
        key: Random key of what is drawn.

    Raises:
        ValueError: the arguments do not fit each other.
    """
    if isinstance(data, AbstractSource):
        require(models is None, "`data` is a source of its own; give None as `models`.")
        return data
    if models is None:
        require(
            site is None and target is None,
            f"got site {site!r} without a model; give `models`, or None as `site`.",
        )
        # At most a quarter of a refill, so that a draw is not most of the buffer.
        rows = min(ROWS_PER_DRAW, max(training.buffer_rows // 4, 1))
        if isinstance(data, Sampler):
            return SampledActivations(sampler=data, rows=rows, key=key)
        return ArrayActivations(read_rows(data), rows, training.passes, key)
    require(site is not None, "say which `site` of the models to read.")
    stacked = models if isinstance(models, Transformer) else _stacked(models)
    named = lambda s: (s,) if isinstance(s, str) else tuple(s or ())
    return ModelActivations(
        stacked,
        data,
        named(site),
        named(target),
        sequences=training.sequences,
        passes=training.passes,
        skip_first=training.skip_first,
        ignore=training.ignore,
        key=key,
    )


def _stacked(models: Sequence[Transformer]) -> Transformer:
    require(len(models) > 0, "got no model.")
    configs = {model.config for model in models}
    require(
        len(configs) == 1,
        "checkpoints that are trained on together must have one config; got "
        f"{len(configs)} different ones.",
    )
    return stack_trees(list(models))
