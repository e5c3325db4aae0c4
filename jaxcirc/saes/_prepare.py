"""What is to be trained, checked before anything is compiled."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from .._core import fold_name
from ..models import Transformer
from ._architecture import AbstractArchitecture
from ._checks import require
from ._control import coefficient
from ._dictionary import Dictionary
from ._layout import layout
from ._make_source import make_source
from ._member import Fixed
from ._memory import lanes_for, require_memory
from ._program import Lesson, Plan
from ._source import AbstractSource
from ._stack import stack_configs
from ._training import Training


def prepared(
    config: AbstractArchitecture | Sequence[AbstractArchitecture],
    models: Transformer | Sequence[Transformer] | None,
    site: str | Sequence[str] | None,
    data: Any,
    training: Training,
    target: str | Sequence[str] | None,
    over: str | None,
    key: Key[Array, ""],
) -> tuple[Plan, Lesson, tuple[str, ...], tuple[int, ...]]:
    """Program and data, and the axes of what they train, all checked.

    Args:
        config: As `train` takes it, and so are all others.
        models: Whose activations.
        site: Where they are read.
        data: What models run on, or activations.
        training: How dictionaries are trained.
        target: What transcoders give.
        over: What crosscoders read at once.
        key: Random key of all.

    Returns:
        What the program is for and what it reads; names and sizes of the axes along
        which there are dictionaries.

    Raises:
        ValueError: anything does not fit, or memory does not hold it.
    """
    one = isinstance(config, AbstractArchitecture)
    tokens = training.steps * training.batch_size
    configs = [c.trained_for(tokens) for c in ([config] if one else config)]
    if training.target_l0 is not None:
        coefficient(configs[0])
    stacked = stack_configs(configs)
    source = make_source(
        models, site, target, data, training, key=fold_name(key, "data")
    )
    places = layout(source.axes, source.shape, configs[0].sites, over)
    _check_widths(configs[0], source)
    _check_enough(source, training)
    axes, shape = places.axes, places.shape
    if not one:
        axes, shape = (*axes, "config"), (*shape, len(configs))
    if training.seeds > 1:
        axes, shape = (*axes, "seed"), (*shape, training.seeds)
    of = np.indices((places.places, len(configs), training.seeds)).reshape(3, -1)
    place, which, seed = (jnp.asarray(x, jnp.int32) for x in of)
    fixed = Fixed(jax.tree.map(lambda x: x[which], stacked), place, seed)
    members = len(place)
    lanes = lanes_for(configs[0], training, members)
    plan = Plan(training, places, members, lanes)
    require_memory(configs[0], source, plan)
    return plan, Lesson(source, fixed, key), axes, shape


def _check_widths(config: AbstractArchitecture, source: AbstractSource) -> None:
    rows = eqx.filter_eval_shape(source.draw, jnp.zeros((), jnp.int32))[0]
    width = rows.input.shape[-1]
    require(
        config.d_in == width,
        f"the architecture has `d_in={config.d_in}`, and the activations have "
        f"{width} numbers each. Give `d_in={width}`.",
    )
    if rows.target is None:
        require(
            config.d_out is None or config.d_out == width,
            f"a transcoder (`d_out={config.d_out}`) needs a `target`: the site whose "
            "activations it is to give.",
        )
        return
    out = config.d_in if config.d_out is None else config.d_out
    require(
        config.d_out is not None,
        "there is a `target`, and the architecture is no transcoder; give it "
        f"`d_out={rows.target.shape[-1]}`.",
    )
    require(
        out == rows.target.shape[-1],
        f"the architecture has `d_out={out}`, and the targets have "
        f"{rows.target.shape[-1]} numbers each.",
    )


def _check_enough(source: AbstractSource, training: Training) -> None:
    if source.most is None:
        return
    drawn = jax.eval_shape(lambda s: s.draw(jnp.int32(0))[1], _shapes(source)).shape[0]
    there, needed = source.most * drawn, training.steps * training.batch_size
    require(
        there >= needed,
        f"{training.steps:,} steps of {training.batch_size:,} take {needed:,} "
        f"activations, each once, and the data have {there:,}. Train for "
        f"{there // training.batch_size:,} steps, or go through the data more often "
        "with `passes`.",
    )


def _shapes(source: AbstractSource) -> AbstractSource:
    return eqx.filter_eval_shape(lambda s: s, source)


def started(
    start: Dictionary | None, axes: tuple[str, ...], shape: tuple[int, ...]
) -> Dictionary | None:
    """What to begin with, with an axis of members.

    Args:
        start: A dictionary for all, or one for each with the axes of the result; None.
        axes: Names of the axes.
        shape: Their sizes.

    Raises:
        ValueError: it has other axes.
    """
    if start is None:
        return None
    lead = start.b_enc.ndim - 1 if start.b_enc is not None else 0
    members = int(np.prod(shape, initial=1))
    if lead == 0:
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (members, *x.shape)), start)
    found = start.W_enc.shape[:lead]
    require(
        found == shape,
        f"`start` has dictionaries of shape {found}, and those to train have {shape} "
        f"along {axes}. Give one, or one for each.",
    )
    return jax.tree.map(lambda x: x.reshape(members, *x.shape[lead:]), start)
