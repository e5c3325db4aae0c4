"""How much memory a training takes, from the compiler, without running it."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Key

from ..models import Transformer
from ._architecture import AbstractArchitecture
from ._prepare import prepared
from ._program import Lesson, TrainingState, advance, begin
from ._training import Training


def training_memory(
    config: AbstractArchitecture | Sequence[AbstractArchitecture],
    models: Transformer | Sequence[Transformer] | None,
    site: str | Sequence[str] | None,
    data: Any,
    training: Training,
    *,
    key: Key[Array, ""],
    target: str | Sequence[str] | None = None,
    over: str | None = None,
) -> int:
    """Bytes that `train` will hold at its peak, of these arguments.

    It is the compiler's own count for the program that `train` runs: weights, moments,
    buffer, models, data and whatever is temporary. Nothing is executed, but compiling
    takes as long as it does for training. What the process holds besides comes on top.

    Args:
        config: As for `train`.
        models: As for `train`.
        site: As for `train`.
        data: As for `train`.
        training: As for `train`.
        key: As for `train`.
        target: As for `train`.
        over: As for `train`.

    Raises:
        ValueError: as `train` does for what it cannot begin with.
    """
    plan, lesson, _, _ = prepared(
        config, models, site, data, training, target, over, key
    )
    state = eqx.filter_eval_shape(begin, plan, lesson, None, key)
    # Shapes are no arrays to Equinox, which would hold them for constants.
    state, rest = eqx.partition(state, lambda x: isinstance(x, jax.ShapeDtypeStruct))
    lesson, fixed = eqx.partition(lesson, eqx.is_array)

    def first(lesson: Lesson, key: Array) -> TrainingState:
        made = begin(plan, eqx.combine(lesson, fixed), None, key)
        return eqx.filter(made, eqx.is_array)

    def later(lesson: Lesson, state: TrainingState) -> Any:
        made = advance(plan, eqx.combine(lesson, fixed), eqx.combine(state, rest))
        return eqx.filter(made, eqx.is_array)

    programs = (
        jax.jit(first).lower(lesson, key),
        jax.jit(later, donate_argnums=1).lower(lesson, state),
    )
    found: list[Any] = [p.compile().memory_analysis() for p in programs]
    # The first program's result is the second one's argument.
    begun = found[0].output_size_in_bytes
    sizes = [x.argument_size_in_bytes + x.temp_size_in_bytes for x in found]
    return max(sizes[0] + begun, sizes[1])
