"""Objectives of another forward pass than the model's own: linear, or frozen."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import equinox as eqx
from jaxtyping import Array

from .._core import AbstractObjective
from ..models import Transformer
from ._freeze import freeze
from ._tangent import Tangent, tangent


class Through(AbstractObjective):
    """A loss of what another function makes of a model's weights.

    The weights are those of an ordinary model, and so are the checkpoints of a
    training; but logits come from `forward(model, tokens)`, such as the linearised
    model or one with frozen attention. So the two can be trained beside the full one on
    the same batches: `train(..., objective=Through(CrossEntropy(), forward))`.

    Args:
        loss: What is taken of the logits.
        forward: (model, tokens) -> logits. A pytree, so that its arrays are arguments
            of a compiled program.

    Raises:
        ValueError: `loss` is a score, which is higher for a better model.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import taylor
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> from jaxcirc.objectives import CrossEntropy
        >>> from jaxcirc.tasks import Batch
        >>> config = TransformerConfig(d_vocab=5, n_ctx=7, n_layers=1, d_model=4)
        >>> model = Transformer(config, key=jr.key(0))
        >>> tokens = jnp.array([[0, 1, 2]])
        >>> batch = Batch(tokens, tokens, tokens >= 0)
        >>> linear = taylor.Through(CrossEntropy(), taylor.linearised(model))
        >>> there = CrossEntropy().mean(model, batch)
        >>> bool(jnp.allclose(linear.mean(model, batch), there))  # at its own point
        True
    """

    loss: AbstractObjective
    forward: Callable[[Any, Array], Array]
    better: ClassVar[Literal["lower", "higher"]] = "lower"

    def __check_init__(self):
        if self.loss.better == "higher":
            name = type(self.loss).__name__
            raise ValueError(
                f"taylor.Through: takes a loss, and {name} is higher for a better "
                f"model. Give its negative, `jaxcirc.objectives.Negative({name}())`."
            )

    def parts(self, model, examples) -> tuple[Array, Array]:
        """The places of the loss, with the other forward pass.

        Args:
            model: The weights.
            examples: What the loss takes.
        """
        return self.loss.parts(lambda tokens: self.forward(model, tokens), examples)


class FrozenAttention(eqx.Module):
    """The forward pass of any weights under the attention patterns of one model.

    At its own point it is that model; the gradients of W_Q and W_K are exactly 0
    everywhere, so training leaves them as they are and moves what heads carry alone.
    The patterns are those that `base` has on the very tokens, and mix them as it does.

    Args:
        base: The model whose patterns are kept.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import taylor
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(d_vocab=5, n_ctx=7, n_layers=1, d_model=4)
        >>> base = Transformer(config, key=jr.key(0))
        >>> tokens = jnp.array([[0, 1, 2]])
        >>> frozen = taylor.FrozenAttention(base)
        >>> bool(jnp.allclose(frozen(base, tokens), base(tokens), atol=1e-6))
        True
    """

    base: Transformer

    def __call__(self, model: Transformer, tokens: Array) -> Array:
        """Logits of the model's weights under the base's patterns.

        Args:
            model: Weights of the base's config.
            tokens: Ids.
        """
        return model(tokens, edits=freeze(self.base, tokens))


def linearised(base: Transformer, *, order: int = 1) -> Tangent:
    """The forward pass of any weights, expanded in them at those of one model.

    f_k(w) = Σ_{j≤k} D^j f(w0)[(w - w0)^j] / j! of the logits f. Of order 1, training it
    follows the kernel of w0 and never leaves it, so what it learns in comparison with
    the full model is what needs no change of features.

    Args:
        base: The model that is expanded at.
        order: The highest power, from 0 to 24.

    Returns:
        A function of (model, tokens).

    Raises:
        ValueError: the order is negative or too high.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import taylor
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(d_vocab=5, n_ctx=7, n_layers=1, d_model=4)
        >>> base = Transformer(config, key=jr.key(0))
        >>> tokens = jnp.array([[0, 1, 2]])
        >>> logits = taylor.linearised(base)(base, tokens)
        >>> bool(jnp.allclose(logits, base(tokens), atol=1e-6))
        True

    Reference:
        Bai et al., "Taylorized Training" (2020, arXiv:2002.04010).
    """
    return tangent(_logits, base, order=order)


def _logits(model: Transformer, tokens: Array) -> Array:
    # Of the module and not of a call, so that two linearised models share a program.
    return model(tokens)
