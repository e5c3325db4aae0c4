"""A model on a batch, as named stacks of matrices: what metrics are taken of."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from .._core import widened
from ..models import Add, Transformer, capture, sites
from ..objectives import CrossEntropy
from ..tasks import Batch
from ._component import AbstractComponent, Needs, Observed
from ._gradients import result_gradient, weight_gradients
from ._part import Part
from ._site import site_of


def observe(
    model: Transformer,
    batch: Batch,
    components: Sequence[AbstractComponent],
    *,
    key: Key[Array, ""],
) -> dict[str, Part]:
    """Every component of a model on a batch, as matrices with named leading axes.

    What all of them need is gathered first: one forward pass gives all activations, one
    backward pass the gradients at all sites, one those of all weights, and one those at
    what heads write. Nothing is run that no component asks for.

    Args:
        model: The model.
        batch: Examples, with one batch axis.
        components: What to look at; see `component`.
        key: Random key of what components draw, such as the random tokens by which
            induction heads are found.

    Returns:
        Label -> matrices. A component whose name matches several weights gives each
        under its own path.

    Raises:
        ValueError: a component cannot be taken of the batch's sequences, such as a
            position outside of them.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.components import component
        >>> from jaxcirc.tasks import Batch
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> tokens = jnp.array([[0, 1, 2], [3, 4, 0]])
        >>> batch = Batch(tokens, tokens, tokens >= 0)
        >>> named = [component(name, config) for name in ("resid_post", "W_O", "ov")]
        >>> seen = observe(model, batch, named, key=jr.key(1))
        >>> {label: part.dense().shape for label, part in seen.items()}
        {'resid_post': (1, 2, 4), 'blocks.attn.W_O': (1, 4, 4), 'ov': (1, 2, 4, 4)}
    """
    for c in components:
        c.check_batch(batch.tokens.shape[-1])
    seen = _run(model, batch, _union(model, components), key)
    found = [(c, c.parts(seen)) for c in components]
    return {
        label: part.of_layers(c.layers)
        for c, parts in found
        for label, part in parts.items()
    }


def _union(model: Transformer, components: Sequence[AbstractComponent]) -> Needs:
    needs = [c.needs(model.config) for c in components]

    # Each once, in the order of asking: a set would give every run another program.
    def names(field: str) -> tuple[str, ...]:
        every = (name for one in needs for name in getattr(one, field))
        return tuple(dict.fromkeys(every))

    return Needs(
        names("activations"),
        names("wide_activations"),
        names("gradients"),
        any(one.weight_gradients for one in needs),
        any(one.result_gradients for one in needs),
    )


def _run(
    model: Transformer, batch: Batch, needs: Needs, key: Key[Array, ""]
) -> Observed:
    wide = widened(model)
    acts, wide_acts = needs.activations, needs.wide_activations
    if jax.tree.all(jax.tree.map(lambda a, b: a.dtype == b.dtype, model, wide)):
        # The same weights: what gradients belong to is captured in the same pass.
        both = _activations(model, batch, tuple(dict.fromkeys((*acts, *wide_acts))))
        found, wide_found = both, both
    else:
        found = _activations(model, batch, acts)
        wide_found = _activations(wide, batch, wide_acts)
    return Observed(
        model,
        batch,
        found,
        wide_found,
        _site_gradients(wide, batch, needs.gradients) if needs.gradients else {},
        weight_gradients(wide, batch) if needs.weight_gradients else None,
        result_gradient(wide, batch) if needs.result_gradients else None,
        key,
    )


def _activations(
    model: Transformer, batch: Batch, names: tuple[str, ...]
) -> dict[str, Array]:
    return capture(model, batch.tokens, names)[1] if names else {}


def _site_gradients(
    model: Transformer, batch: Batch, names: tuple[str, ...]
) -> dict[str, Array]:
    """Gradients of the sum of the examples' losses: each row is its own example's."""
    table = sites(model, batch.tokens.shape)

    def zeros(name: str) -> Array:
        place = site_of(name, model.config)
        assert place is not None
        shape = table[place[0]].shape
        return jnp.zeros(shape if place[1] is None else shape[1:], model.W_E.dtype)

    # The gradient at a zero that is added is the gradient at the site itself.
    def total(deltas: dict[str, Array]) -> Array:
        edits = tuple(Add(name, delta) for name, delta in deltas.items())
        return CrossEntropy()(functools.partial(model, edits=edits), batch).sum()

    return jax.grad(total)({name: zeros(name) for name in names})
