"""Compiled programs with one logit per answer, as students have."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxcirc.models import Transformer

from ._compiled import CompiledModel, place_of
from ._students import with_unembedding


def classifier(
    compiled: CompiledModel,
    vocab: tuple[Any, ...],
    answers: tuple[Any, ...],
    possible: Bool[np.ndarray, "pos answer"],
    *,
    sharpness: float = 10.0,
) -> Transformer:
    """A compiled program with other ids and one logit per answer; still exact.

    A categorical program has its own logits, times `sharpness`. A numerical one says a
    number x, and the logit of an answer v is `-beta (x - v)^2` up to a term that all
    share, which is linear in x: the nearest value that is possible at a position wins.
    The right answer leads by at least `sharpness`.

    Args:
        compiled: The program.
        vocab: What each input id should stand for; all are tokens of the program.
        answers: What each output should stand for.
        possible: Which answers occur at which position, BOS first. It is used for
            numbers, whose sharpness follows from the closest two answers of a position.
        sharpness: Least lead of the right answer, in logits: at 10, the others have a
            probability of 5e-5 each at most.

    Returns:
        A transformer with `len(vocab)` input ids and `len(answers)` outputs.

    Raises:
        ValueError: an answer is one that the program never gives, or a token is none
            that the program knows.

    Example:
        >>> import jax.numpy as jnp
        >>> import numpy as np
        >>> from tracr_bridge.rasp import classifier, compile, programs
        >>> compiled = compile(programs.histogram(), "ab", 2, check=0)
        >>> anywhere = np.ones((3, 2), bool)
        >>> model = classifier(compiled, ("BOS", "a", "b"), (1, 2), anywhere)
        >>> (model(jnp.array([0, 1, 1]))[1:].argmax(axis=1) + 1).tolist()
        [2, 2]
    """
    model = compiled.model
    assert model.W_U is not None
    W_E = model.W_E[np.array([_place(compiled.vocab, v) for v in vocab])]
    model = eqx.tree_at(lambda m: m.W_E, model, W_E)
    if compiled.output_values is None:
        W_U = _nearest_value(compiled, answers, possible, sharpness)
    else:
        chosen = [_place(compiled.output_values, a) for a in answers]
        W_U = sharpness * model.W_U[:, np.array(chosen)]
    return with_unembedding(model, jnp.asarray(W_U, jnp.float32))


def _nearest_value(
    compiled: CompiledModel,
    answers: tuple[Any, ...],
    possible: Bool[np.ndarray, "pos answer"],
    sharpness: float,
) -> Float[np.ndarray, "d_model answer"]:
    """An unembedding under which the possible value nearest to the number wins."""
    values = np.array(answers, float)
    gaps = [np.diff(values[row]).min() for row in possible if row.sum() > 1]
    # At the value itself, the nearest other one is behind by beta gap².
    beta = sharpness / min(gaps) ** 2
    number = np.asarray(compiled.model.W_U, float)
    W_U = number * 2 * beta * values
    # Every position but BOS has its own direction, and it alone is 1.
    for place in range(1, len(possible)):
        direction = compiled.residual_labels.index(f"indices:{place - 1}")
        W_U[direction] += -beta * values**2 - sharpness * ~possible[place]
    return W_U


def _place(values: tuple[Any, ...], wanted: Any) -> int:
    """The place of a value among those of the program.

    Raises:
        ValueError: the value is not among them.
    """
    place = place_of(wanted, values)
    if place is None:
        raise ValueError(
            f"classifier: {wanted!r} is not among the program's {list(values)}."
        )
    return place
