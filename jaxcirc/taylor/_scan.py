"""Taylor mode inside the scan over layers: one block is compiled, whatever the depth.

`jax.experimental.jet` has no rule for a scan, so the scan goes around it: what it
carries from layer to layer are the coefficients of the residual stream.
"""

from collections.abc import Callable

import equinox as eqx
import jax
from jaxtyping import PyTree

from ..models import split_edits, stages
from ._engine import EngineSpec
from ._line import AbstractLine, ModelLine
from ._push import Powers, line_powers, push


def coefficients(line: AbstractLine, order: int) -> tuple[PyTree, ...]:
    """Coefficients of the logits, and of the wanted sites.

    Args:
        line: A model's; others have no layers to scan over.
        order: The highest power, at least 1.

    Raises:
        ValueError: the line is not a model's, or `jet` cannot follow the model.
    """
    if not isinstance(line, ModelLine):
        raise ValueError(
            "taylor: engine 'scan' expands models, layer by layer, and got a function. "
            "Use engine='jet', or engine='nested' for any function."
        )
    (model, edits), (model_way, edits_way) = line.start, line.direction
    parts = stages(model.config, line.tokens, line.want)
    slices, others = split_edits(edits)
    slices_way, others_way = split_edits(edits_way)

    def first(params):
        return parts.first(*params)

    def layer(carry, here):
        start, own, way = here

        def one(x, params):
            block, here, rest = params
            return parts.layer(x, (block, own, here), rest)

        out = _pushed(one, carry, (*start, others), (*way, others_way))
        # Of each power: the carry, which goes on, and what was recorded.
        return tuple(c for c, _ in out), tuple(recorded for _, recorded in out)

    def last(carry, params):
        return parts.last(carry, *params)

    # What moves before, in and behind the layers is told apart leaf by leaf, so that
    # frozen weights cost one product for each power wherever they are.
    carry = _pushed(first, order, line.start, line.direction)
    stacked = (model.blocks, slices), parts.varying, (model_way.blocks, slices_way)
    carry, recorded = jax.lax.scan(layer, carry, stacked)
    logits = _pushed(last, carry, line.start, line.direction)
    return tuple(zip(logits, recorded, strict=True))


def _pushed(
    fn: Callable[..., PyTree], carry: Powers | int, start: PyTree, direction: PyTree
) -> Powers:
    """Powers of `fn(carry, start + t direction)`, or of no carry up to an order.

    What does not move is no argument of Taylor mode: a product with it takes one matrix
    product for each power, one with a weight that moves almost two.
    """
    moves = jax.tree.map(lambda d: d is not None, direction, is_leaf=_is_none)
    # A leaf without direction is None there, and false here.
    some, still = eqx.partition(start, moves)
    if isinstance(carry, int):
        whole = lambda params: fn(eqx.combine(params, still))
        return push(whole, line_powers(some, direction, carry))
    whole = lambda x, params: fn(x, eqx.combine(params, still))
    return push(whole, carry, line_powers(some, direction, len(carry) - 1))


def _is_none(leaf: PyTree) -> bool:
    return leaf is None


SPEC = EngineSpec(
    name="scan",
    summary="Taylor mode inside the scan over a model's layers",
    coefficients=coefficients,
    takes="models",
    paper="Bettencourt, Johnson & Duvenaud 2019",
)
