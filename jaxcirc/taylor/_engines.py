"""The catalogue of engines, and the one program that runs them."""

import equinox as eqx
import jax
from jaxtyping import PyTree

from .._core import Catalogue, find
from . import _gradient, _jet, _nested, _scan
from ._engine import EngineSpec
from ._line import AbstractLine

ENGINES = Catalogue(
    "jaxcirc.engines",
    (_scan.SPEC, _jet.SPEC, _nested.SPEC, _gradient.SPEC),
    of=EngineSpec,
)
# Orders above are lost in rounding long before: 2 ** 24 is all that float32 resolves.
HIGHEST = 24


def check_order(order: int, *, who: str, lowest: int = 0) -> None:
    """Refuse an order that is no whole number, negative or beyond use.

    Args:
        order: The highest power.
        who: Who complains.
        lowest: The smallest order that makes sense there.

    Raises:
        ValueError: as said.
    """
    whole = isinstance(order, int) and not isinstance(order, bool)
    if not whole or not lowest <= order <= HIGHEST:
        raise ValueError(
            f"{who}: `order` must be a whole number from {lowest} to {HIGHEST}; got "
            f"{order!r}. Coefficients of higher powers are lost in rounding."
        )


def coefficients(line: AbstractLine, order: int, engine: str) -> tuple[PyTree, ...]:
    """All coefficients of the line up to t ** order, by a compiled program.

    Args:
        line: What is expanded.
        order: The highest power.
        engine: Name of a row of `ENGINES`.

    Raises:
        ValueError: the engine is unknown, or cannot follow the function.
    """
    return _compiled(line, order, find(ENGINES, engine, kind="engine").coefficients)


@eqx.filter_jit
def _compiled(line, order: int, engine):
    line = behind_barrier(line)
    # No power to carry: Taylor mode begins with the first.
    if order == 0:
        return (line.value(line.start),)
    return engine(line, order)


def behind_barrier(tree: PyTree) -> PyTree:
    """The arrays of a tree, which the compiler may not look through.

    Under somebody's `jit` that closes over model, direction and tokens, all of the
    program is constant. Folding it, XLA was seen to give coefficients of 1e33 and more
    for attention without norms, other ones at each run.

    Args:
        tree: Any pytree.
    """
    # Functions and configs pass by the barrier, which takes arrays alone.
    arrays, rest = eqx.partition(tree, eqx.is_array)
    return eqx.combine(jax.lax.optimization_barrier(arrays), rest)
