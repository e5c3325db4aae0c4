"""Series of logits from one checkpoint to another, and of any function."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Integer, PyTree

from .._core import widened
from ..models import AbstractIntervention, Transformer, resolved_edits
from ._engines import check_order, coefficients
from ._kink import first_kink
from ._line import FunctionLine, ModelLine
from ._models import check_alike, direction_between
from ._series import Series


def along(
    base: Transformer,
    tuned: Transformer,
    tokens: Integer[Array | np.ndarray, "*batch pos"],
    *,
    order: int = 4,
    over: Sequence[str] = ("*",),
    edits: Sequence[AbstractIntervention] = (),
    engine: str = "scan",
) -> Series:
    """The Taylor series of the logits on the straight line from `base` to `tuned`.

    With d = tuned - base, f(t) = model(base + t d)(tokens): order 0 are the logits of
    `base`, order 1 adds the linearised finetune, and `series(1.0)` is what the series
    makes of `tuned`. On most finetunes the line leaves the radius of convergence, and
    higher orders are worse than lower ones: look at `series.status()` first. Weights in
    half precision are computed with in float32.

    Args:
        base: The model at t = 0.
        tuned: The model at t = 1, of the same config.
        tokens: Ids.
        order: The highest power, from 0 to 24.
        over: Patterns of the weights that move, as paths of the model such as
            `blocks.attn.W_V`; others stay those of `base`.
        edits: Interventions at every t, such as those of `freeze`.
        engine: A row of `ENGINES`. `scan` compiles one block for any depth, `jet` all
            layers, `nested` follows whatever jax can differentiate.

    Returns:
        Coefficients [order, *batch, pos, d_vocab_out], with the first kink where the
        model has ReLUs.

    Raises:
        ValueError: the models have no line between them, weights are not finite, the
            order or the engine is unknown, an edit or the tokens do not fit, or the
            engine cannot follow the model.

    Example:
        >>> import jax, jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import taylor
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(d_vocab=5, n_ctx=7, n_layers=1, d_model=4)
        >>> base, other = (Transformer(config, key=jr.key(i)) for i in (0, 1))
        >>> tuned = jax.tree.map(lambda a, b: a + (b - a) / 8, base, other)
        >>> tokens = jnp.array([0, 1, 2])
        >>> series = taylor.along(base, tuned, tokens, order=3)
        >>> wrong = [jnp.abs(series.truncate(k)(1.0) - tuned(tokens)).max()
        ...          for k in range(4)]
        >>> [float(a) > 2 * float(b) for a, b in zip(wrong, wrong[1:])]
        [True, True, True]
    """
    check_order(order, who="taylor.along")
    line = model_line(base, tuned, tokens, over=over, edits=edits, who="taylor.along")
    return series_of(line, order, engine)


def expand(
    fn: Callable[[Any], Array],
    start: PyTree,
    end: PyTree,
    *,
    order: int = 4,
    engine: str = "jet",
) -> Series:
    """The Taylor series of any function on the line from `start` to `end`.

    f(t) = fn(start + t (end - start)). The function may give an array of any shape;
    arrays that it closes over are constants of the compiled program.

    Args:
        fn: A function of a pytree of arrays. Under `jet` it has no loops over layers
            (a `Transformer` is called without them), under `gradient` it is a scalar.
        start: Its argument at t = 0.
        end: Its argument at t = 1, of the same structure.
        order: The highest power, from 0 to 24.
        engine: `jet`, `nested` or `gradient`.

    Returns:
        The series; no kinks are looked for.

    Raises:
        ValueError: there is no line between the two, a number is not finite, the order
            or the engine is unknown, or the engine cannot follow the function.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.taylor import expand
        >>> series = expand(jnp.exp, jnp.zeros(()), jnp.ones(()), order=3)
        >>> [round(c, 4) for c in series.coefficients.tolist()]
        [1.0, 1.0, 0.5, 0.1667]
    """
    check_order(order, who="taylor.expand")
    base, direction = direction_between(start, end, who="taylor.expand")
    found = coefficients(FunctionLine(fn, base, direction), order, engine)
    return Series(jnp.stack(found))


def model_line(
    base: Transformer,
    tuned: Transformer,
    tokens: Integer[Array | np.ndarray, "*batch pos"],
    *,
    over: Sequence[str] = ("*",),
    edits: Sequence[AbstractIntervention] = (),
    who: str,
) -> ModelLine:
    """The line between two models, with tokens and edits that are known to fit.

    Args:
        base: The model at t = 0.
        tuned: The model at t = 1.
        tokens: Ids.
        over: Patterns of the weights that move.
        edits: Interventions at every t.
        who: Who complains.

    Raises:
        ValueError: something does not fit.
    """
    check_alike(base, tuned, who=who)
    # Before any arithmetic, so that a wrong call fails at once.
    tokens, checked = resolved_edits(base, tokens, edits, who=who)
    start, direction = direction_between(base, tuned, over=tuple(over), who=who)
    # Edits hold at every t: nothing of them moves.
    still = jax.tree.map(lambda _: None, widened(checked))
    return ModelLine((start, widened(checked)), (direction, still), tokens)


def series_of(line: ModelLine, order: int, engine: str) -> Series:
    """The series of the logits, and the first kink of the way.

    Args:
        line: What is expanded.
        order: The highest power.
        engine: Name of a row of `ENGINES`.

    Raises:
        ValueError: the engine is unknown, or cannot follow the model.
    """
    sites = watched(line.start[0], order)
    line = ModelLine(line.start, line.direction, line.tokens, sites)
    return told(coefficients(line, order, engine), sites)


def watched(model: Transformer, order: int) -> tuple[str, ...]:
    """The sites that tell kinks: inputs of ReLUs.

    They take as much memory as an MLP, so models without ReLUs are spared them.

    Args:
        model: What is expanded.
        order: The highest power.
    """
    rectified = model.config.activation == "relu" and model.blocks.mlp is not None
    return ("mlp.pre",) if rectified and order else ()


def told(
    found: Sequence[tuple[Array, Mapping[str, Array]]], sites: tuple[str, ...]
) -> Series:
    """The series of the logits, with the first kink where ReLUs were watched.

    Args:
        found: Logits and sites at each order.
        sites: What was watched.
    """
    logits = jnp.stack([value for value, _ in found])
    if not sites:
        return Series(logits)
    (site,) = sites
    return Series(logits, first_kink(jnp.stack([at[site] for _, at in found])))
