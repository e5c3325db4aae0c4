"""Published coefficients of compiled programs, and the same procedure here.

The figures are those in the notebooks of `llc-interpretability` (leo-du-03, 2024). Its
procedure: SGLD with batches of one sequence, n_beta = 1, gamma = 1, 10 chains of 100
draws without burn-in; the loss is taken of the residual stream, not of what is decoded;
MLPs are as sharp as tracr makes them by default, which is exact up to length 6. It is a
transient of chains that have hardly left w*, and worth computing only to be compared.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from jaxcirc.llc import SGLD, path_mask, sweep
from jaxcirc.models import Transformer, capture

from . import programs
from ._compile import compile, hide_positions  # noqa: A004
from ._compiled import CompiledModel

CHAINS, DRAWS, LONGEST = 10, 100, 10


class PublishedLLC(NamedTuple):
    """A program as it was measured there.

    Args:
        name: Of the program.
        build: () -> RASP expression.
        vocab: Values of tokens.
        max_seq_len: Longest sequence of the compiled model. Sequences drawn have 1 to
            10 tokens, whatever this is: with these lengths the values come out as
            published, which does not say how long its sequences were.
        step_size: Of SGLD.
        value: Mean that was reported.
        spread: Standard deviation over its repeats; 0 where it was not reported.
        doubt: Why its model did not compute the program; empty if it did.
        squared: Whether the loss is the squared error times 10,000 rather than a
            cross-entropy along positions.
        n: Sequences.
        left_out: A token that its sequences never held.
    """

    name: str
    build: Callable[[], Any]
    vocab: tuple[Any, ...]
    max_seq_len: int
    step_size: float
    value: float
    spread: float
    doubt: str
    squared: bool = False
    n: int = 50
    left_out: Any = None


_LETTERS = tuple("abcde")
_BLUNT = "its MLPs are exact up to 6 tokens"
_TIES = "a sort of distinct tokens, given repeated ones"
_ONE_HEAD = "its port kept one head of several: another function"
PUBLISHED_LLCS = (
    PublishedLLC(
        "fraction_of_previous",
        programs.fraction_of_previous,
        ("x", *_LETTERS),
        10,
        1e-5,
        8.41,
        0.0,
        "",
        squared=True,
        n=100,
        left_out="x",
    ),
    PublishedLLC(
        "palindrome",
        programs.palindrome,
        tuple("abcdefghijklmnopqrstuvwxyz "),
        10,
        1e-5,
        3.24,
        0.76,
        "an older build with 160,156 parameters",
        n=100,
    ),
    PublishedLLC(
        "peak", programs.peak, (0, 1, 2, 3, 4), 10, 1e-6, 2.51, 0.67, _ONE_HEAD
    ),
    PublishedLLC(
        "dominant_peak",
        programs.dominant_peak,
        (0, 1, 2, 3, 4, 5, 6),
        10,
        1e-6,
        2.65,
        0.88,
        _ONE_HEAD,
    ),
    PublishedLLC(
        "histogram", programs.histogram, _LETTERS, 50, 1e-5, 1.36, 0.16, _BLUNT
    ),
    PublishedLLC("reverse", programs.reverse, _LETTERS, 10, 1e-5, 2.22, 0.26, _BLUNT),
    PublishedLLC("sort", programs.sort_unique, _LETTERS, 10, 1e-5, 1.25, 0.20, _TIES),
    PublishedLLC("triplets", programs.triplets, _LETTERS, 10, 1e-5, 1.00, 0.11, _BLUNT),
)


def repeat(
    row: PublishedLLC, *, trials: int = 5, key: Key[Array, ""]
) -> Float[np.ndarray, " trial"]:
    """What the published procedure gives for a program, repeated.

    Args:
        row: The program and its settings.
        trials: Repeats.
        key: Of everything random.

    Raises:
        ImportError: tracr is not installed.
    """
    # Unchecked: MLPs that are too blunt are part of the procedure, and would be
    # refused.
    compiled = compile(
        row.build(), row.vocab, row.max_seq_len, mlp_exactness=100, check=0
    )
    data_key, chain_key = jr.split(key)
    data = _sequences(row, compiled, data_key)
    found = sweep(
        _squared_error if row.squared else _position_entropy,
        compiled.model,
        (*data, _residual(compiled.model, *data)),
        SGLD(row.step_size, n_beta=1.0, gamma=1.0),
        masks={"blocks": path_mask(compiled.model, ("blocks",))},
        seeds=list(range(trials)),
        num_chains=CHAINS,
        num_draws=DRAWS,
        num_burnin=0,
        batch_size=1,
        key=chain_key,
    )
    return np.array([e.value for e in found.estimates[0]])


def _sequences(
    row: PublishedLLC, compiled: CompiledModel, key: Key[Array, ""]
) -> tuple[Int[Array, "example pos"], Bool[Array, "example pos"]]:
    """Random sequences behind BOS, and where there is one rather than filling."""
    length_key, token_key = jr.split(key)
    drawn = [compiled.vocab.index(v) for v in row.vocab if v != row.left_out]
    body = jr.choice(token_key, jnp.asarray(drawn), (row.n, LONGEST))
    bos = jnp.full((row.n, 1), compiled.vocab.index(compiled.bos))
    lengths = jr.randint(length_key, (row.n, 1), 1, LONGEST + 1)
    there = jnp.arange(LONGEST + 1)[None, :] <= lengths
    return jnp.concatenate([bos, body], axis=1), there


def _residual(model: Transformer, tokens: Array, there: Array) -> Array:
    """The residual stream after the last layer, with what was filled in hidden."""
    edits = (hide_positions(model, ~there),)
    return capture(model, tokens, ("resid_post",), edits=edits)[1]["resid_post"][-1]


def _squared_error(model: Transformer, data: tuple[Array, Array, Array]) -> Array:
    """The squared error of the residual stream, times 10,000, for each sequence."""
    tokens, there, target = data
    error = ((_residual(model, tokens, there) - target) ** 2).mean(axis=2)
    return (
        1e4
        * jnp.where(there, error, 0).sum(axis=1)
        / there.sum(axis=1).astype(error.dtype)
    )


def _position_entropy(model: Transformer, data: tuple[Array, Array, Array]) -> Array:
    """Cross-entropy that takes positions for classes, with targets as they are."""
    tokens, there, target = data
    found = _residual(model, tokens, there)
    log_p = jax.nn.log_softmax(jnp.where(there[..., None], found, -1e9), axis=1)
    each = jnp.where(there[..., None], target * log_p, 0)
    return -each.sum(axis=1).mean(axis=1)
