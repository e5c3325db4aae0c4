"""A path in pieces: a series around the beginning of each."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from .._core import find
from ..models import AbstractIntervention, Transformer
from ._along import model_line
from ._engines import ENGINES, behind_barrier, check_order
from ._line import ModelLine, moved


class Recentred(eqx.Module):
    """The errors of series around the beginning of each piece of a line.

    Args:
        t: Where the pieces begin.
        relative_error: Of each piece and order, in units of the piece's own change.
    """

    t: Float[Array, " segment"]
    relative_error: Float[Array, "segment order"]


def recentre(
    base: Transformer,
    tuned: Transformer,
    tokens: Integer[Array | np.ndarray, "*batch pos"],
    *,
    segments: int = 8,
    order: int = 3,
    over: Sequence[str] = ("*",),
    edits: Sequence[AbstractIntervention] = (),
    engine: str = "scan",
) -> Recentred:
    """How well a series predicts the end of its piece when it begins anew at each.

    The line from `base` to `tuned` is cut into equal pieces, and each has a series of
    its own. Where the series of the whole line diverges, short pieces are inside their
    radius: the error of order k falls with the power k + 1 of their length, in units of
    the piece's change with the power k. Number and order that make all errors small say
    how nonlinear the path is.

    Args:
        base: The model at t = 0.
        tuned: The model at t = 1.
        tokens: Ids.
        segments: Pieces of equal length.
        order: The highest power.
        over: Patterns of the weights that move.
        edits: Interventions at every t.
        engine: A row of `ENGINES`.

    Returns:
        Beginnings of the pieces, and ‖f(end) - f_k‖ / ‖f(end) - f(beginning)‖ of each.

    Raises:
        ValueError: there are no segments, or anything else that `along` refuses.

    Example:
        >>> import jax, jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import taylor
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(d_vocab=5, n_ctx=7, n_layers=1, d_model=4)
        >>> base, tuned = (Transformer(config, key=jr.key(i)) for i in (0, 1))
        >>> tokens = jnp.array([0, 1, 2])
        >>> whole, half = (
        ...     taylor.recentre(base, tuned, tokens, segments=n, order=1)
        ...     for n in (1, 8)
        ... )
        >>> bool(half.relative_error[:, 1].max() < whole.relative_error[:, 1].max())
        True
    """
    who = "taylor.recentre"
    check_order(order, who=who)
    if segments < 1:
        raise ValueError(f"{who}: `segments` must be at least 1; got {segments}.")
    line = model_line(base, tuned, tokens, over=over, edits=edits, who=who)
    t = jnp.linspace(0.0, 1.0, segments, endpoint=False, dtype=line.start[0].W_E.dtype)
    coefficients = find(ENGINES, engine, kind="engine").coefficients
    return Recentred(t, _errors(line, t, order, coefficients))


@eqx.filter_jit
def _errors(line, t, order: int, engine):
    line = behind_barrier(line)
    step = 1 / len(t)
    # In units of a piece, every series is taken at 1.
    short = jax.tree.map(lambda d: step * d, line.direction)

    def one(t):
        here = ModelLine(moved(line.start, line.direction, t), short, line.tokens)
        found = engine(here, order) if order else (here.value(here.start),)
        exact, _ = here.value(moved(here.start, short, 1.0))
        # At 1 in units of the piece, the series are running sums of coefficients.
        missed = exact[None] - jnp.cumsum(jnp.stack([c for c, _ in found]), axis=0)
        lengths = jnp.sqrt(jnp.square(missed).reshape(order + 1, -1).sum(axis=1))
        return lengths / jnp.where(lengths[0] > 0, lengths[0], 1)

    # One piece after the other: in a batch, each would be a model and its logits.
    return jax.lax.map(one, t)
