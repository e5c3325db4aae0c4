"""A forward pass taken apart into what comes before, in and after the layers."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Integer, PyTree

from ._checked import checked_edits
from ._config import TransformerConfig
from ._constants import LayerConstants, layer_constants
from ._intervention import AbstractIntervention, by_layer
from ._sites import sites
from ._tape import Tape
from ._tokens import checked_tokens
from ._transformer import Transformer, embed, run_layer, unembed_taped

Edits = tuple[AbstractIntervention, ...]
# The residual stream, and what each edit remembers.
Carry = tuple[Array, tuple[PyTree, ...]]


class Stages(NamedTuple):
    """The three parts of a forward pass, as functions of all arrays that they read.

    `model(tokens, edits=edits)` is `last(carry, model, edits)` of what `layer` has made
    of `first(model, edits)`, once for each layer. Since no array is closed over, each
    part can be differentiated in its own way: Taylor mode inside the scan over layers
    needs that, where differentiating around the scan is not possible.

    Args:
        first: (model, edits) -> the carry before the first layer.
        layer: (carry, (block, constants, edits by layer), other edits) -> the carry
            after a layer, and what was recorded there.
        last: (carry, model, edits) -> logits.
        varying: Constants with a leading `layer` axis, to be scanned over.
    """

    first: Callable[[Transformer, Edits], Carry]
    layer: Callable[[Carry, tuple, Edits], tuple[Carry, dict[str, Array]]]
    last: Callable[[Carry, Transformer, Edits], Array]
    varying: LayerConstants


def stages(
    config: TransformerConfig,
    tokens: Integer[Array, "*batch pos"],
    want: Sequence[str] = (),
) -> Stages:
    """The parts of a forward pass on `tokens`.

    Args:
        config: Of the model that is going to run.
        tokens: Ids, which are not looked at here.
        want: Sites inside the blocks that every layer records, by their own names.

    Returns:
        Three functions and what is scanned over beside the blocks.

    Example:
        >>> import jax, jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig, stages
        >>> config = TransformerConfig(d_vocab=5, n_ctx=7, n_layers=1, d_model=4)
        >>> model = Transformer(config, key=jr.key(0))
        >>> tokens = jnp.array([0, 1, 2])
        >>> parts = stages(config, tokens)
        >>> carry = parts.first(model, ())
        >>> block = jax.tree.map(lambda leaf: leaf[0], model.blocks)
        >>> carry, _ = parts.layer(carry, (block, parts.varying, ()), ())
        >>> bool(jnp.allclose(parts.last(carry, model, ()), model(tokens)))
        True
    """
    shared, varying = layer_constants(config, tokens.shape[-1])

    def first(model: Transformer, edits: Edits) -> Carry:
        tape = Tape((), edits, [edit.init(config, tokens) for edit in edits])
        x = embed(model, tokens, tape)
        return x, tuple(tape.memories)

    def layer(carry: Carry, stacked: tuple, others: Edits):
        return run_layer(carry, stacked, shared, others, want)

    def last(carry: Carry, model: Transformer, edits: Edits) -> Array:
        x, memories = carry
        return unembed_taped(model, x, Tape((), edits, memories))

    return Stages(first, layer, last, varying)


def split_edits(edits: Edits) -> tuple[Edits, Edits]:
    """The arrays of edits that have a leading `layer` axis, and all others.

    Args:
        edits: As `resolved_edits` leaves them.

    Returns:
        The edits twice, with None for the arrays of the other kind.
    """
    parts = [by_layer(edit) for edit in edits]
    return tuple(a for a, _ in parts), tuple(b for _, b in parts)


def resolved_edits(
    model: Transformer,
    tokens: Integer[Array | np.ndarray, "*batch pos"],
    edits: Sequence[AbstractIntervention],
    *,
    who: str = "Transformer",
) -> tuple[Integer[Array, "*batch pos"], Edits]:
    """Tokens and edits as a forward pass takes them, known to fit the model.

    Args:
        model: Which is going to run.
        tokens: Ids.
        edits: Interventions under any of their sites' names.
        who: Who complains.

    Raises:
        ValueError: tokens are no array of ids in [0, d_vocab), or an edit names an
            unknown site or does not fit its shape.
    """
    tokens = checked_tokens(tokens, model.config.d_vocab, who=who)
    if not edits:
        return tokens, ()
    table = sites(model, tokens.shape, edits)
    return tokens, checked_edits(model.config, table, edits)
