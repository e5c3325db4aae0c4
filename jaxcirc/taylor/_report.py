"""The accuracy of all orders, without the logits of all orders."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Integer

from .._core import find
from ..models import AbstractIntervention, Transformer
from ._accuracy import Accuracy, of_sums, summed
from ._along import model_line, told, watched
from ._engines import ENGINES, behind_barrier, check_order
from ._line import ModelLine, moved
from ._radius import degree_of, radius_of
from ._series import gram_parts, joined
from ._status import status_of


def accuracy_along(
    base: Transformer,
    tuned: Transformer,
    tokens: Integer[Array | np.ndarray, "example pos"],
    *,
    targets: Integer[Array | np.ndarray, "example pos"] | None = None,
    mask: Bool[Array | np.ndarray, "example pos"] | None = None,
    order: int = 4,
    over: Sequence[str] = ("*",),
    edits: Sequence[AbstractIntervention] = (),
    chunk: int = 8,
    engine: str = "scan",
) -> Accuracy:
    """The accuracy of the series from `base` to `tuned`, a few examples at a time.

    The same numbers as `accuracy` of `along`, in one compiled program that holds the
    logits of all orders for `chunk` examples alone: with a vocabulary of 50,000 those
    of a batch take gigabytes. Of several kinks the first of all examples is told.

    Args:
        base: The model at t = 0.
        tuned: The model at t = 1.
        tokens: Ids.
        targets: Right answers, for the losses.
        mask: Positions whose losses count; all if None.
        order: The highest power.
        over: Patterns of the weights that move; the others are compared at `base`.
        edits: Interventions at every t, with arrays that are the same for all examples.
        chunk: Examples that are held at once.
        engine: A row of `ENGINES`.

    Returns:
        Numbers for every order from 0 on, with radius and status.

    Raises:
        ValueError: the models have no line between them, `chunk` is below 1, or
            anything else that `along` refuses.

    Example:
        >>> import equinox as eqx, jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import taylor
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(d_vocab=5, n_ctx=7, n_layers=1, d_model=4)
        >>> base = Transformer(config, key=jr.key(0))
        >>> tuned = eqx.tree_at(lambda m: m.W_U, base, 2 * base.W_U)
        >>> found = taylor.accuracy_along(base, tuned, jnp.array([[0, 1, 2]]))
        >>> found.status, found.relative_error.round(3).tolist()[:2]
        ('polynomial', [1.0, 0.0])
    """
    who = "taylor.accuracy_along"
    check_order(order, who=who)
    if chunk < 1:
        raise ValueError(f"{who}: `chunk` must be at least 1; got {chunk}.")
    line = model_line(base, tuned, tokens, over=over, edits=edits, who=who)
    shape = line.tokens.shape
    losses = targets is not None
    targets = jnp.zeros(shape, jnp.int32) if targets is None else jnp.asarray(targets)
    mask = jnp.ones(shape, bool) if mask is None else jnp.asarray(mask)
    spec = find(ENGINES, engine, kind="engine")
    sites = watched(base, order)
    sums, parts, kink = _all(
        line, targets, mask, order, chunk, spec.coefficients, sites
    )
    gram, eps = joined(*parts), float(jnp.finfo(parts[0].dtype).eps)
    radius = radius_of(gram, eps)
    status = status_of(
        1.0,
        radius=radius,
        kink=float(kink),
        degree=degree_of(gram, eps),
        moves=bool(np.diag(gram)[1:].any()) or order == 0,
    )
    return of_sums(sums, radius, status, losses=losses)


@eqx.filter_jit
def _all(line, targets, mask, order: int, chunk: int, engine, sites: tuple[str, ...]):
    """Sums over examples, products of coefficients of each, and the first kink."""
    line = behind_barrier(line)
    model, edits = moved(line.start, line.direction, 1.0)

    def one(example):
        tokens, targets, mask = example
        # The weights are those of all examples: only tokens are mapped over.
        here = ModelLine(line.start, line.direction, tokens, sites)
        found = engine(here, order) if order else (here.value(here.start),)
        series = told(found, sites)
        exact = model(tokens, edits=edits)
        sums = summed(series, exact, targets, mask, jnp.ones((), exact.dtype))
        parts = gram_parts(series.coefficients.reshape(order + 1, -1))
        return sums, parts, series.kink

    examples = (line.tokens, targets, mask)
    # Sums are of each example, so that they do not depend on the chunk.
    sums, parts, kinks = jax.lax.map(one, examples, batch_size=chunk)
    return jax.tree.map(lambda x: x.sum(axis=0), sums), parts, kinks.min()
