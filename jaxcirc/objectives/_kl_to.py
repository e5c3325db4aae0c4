"""Divergence of a model from what another one says."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import jax
from jaxtyping import Array, Bool, Float, Int

from .._core import AbstractObjective
from ..metrics import kl_divergence
from ..tasks import Pairs
from ._pairs import logits_at_end
from ._spec import ObjectiveSpec


class SoftBatch(NamedTuple):
    """Examples whose answers are distributions, given by logits.

    Args:
        tokens: Sequences of ids, which go in.
        logits: What should come out, up to a constant at each position.
        mask: Which positions count.
    """

    tokens: Int[Array, "*example pos"]
    logits: Float[Array, "*example pos d_vocab"]
    mask: Bool[Array, "*example pos"]


class KLTo(AbstractObjective):
    """KL divergence from a reference's answers to the model's, in nats.

    KL(reference ‖ model) at every position that counts, in [0, inf), and 0 only where
    both say the same. With weights w* of the reference itself it is at a minimum, so it
    is the loss for the coefficient of the function that a model computes, whether that
    is right or wrong. It is the loss of distillation (Hinton et al. 2015), and it
    measures an ablation where there is no right answer. No gradient flows into the
    reference. Of `Pairs` it is taken at the position `end` of those clean sequences
    that have a right answer.

    Args:
        reference: A model, called as `reference(tokens)`, for examples that are a
            `Batch` or `Pairs`; what they say is right is not looked at. None where the
            examples bring their logits along, as a `SoftBatch`.

    Raises:
        ValueError: there is neither a reference nor logits; when it is called.

    Example:
        >>> import jax.numpy as jnp
        >>> fair = lambda tokens: jnp.zeros((*tokens.shape, 2))
        >>> zeros = jnp.zeros((1, 3), int)
        >>> sure = SoftBatch(zeros, fair(zeros).at[..., 0].set(1e4), zeros == 0)
        >>> round(float(KLTo().mean(fair, sure)), 4)  # log 2
        0.6931
    """

    reference: Callable[[Any], Array] | None = None
    better: ClassVar[Literal["lower", "higher"]] = "lower"

    def parts(self, model, examples) -> tuple[Array, Array]:
        """The divergence at every position, and which positions count.

        Args:
            model: A model, called as `model(tokens)`.
            examples: A `Batch` or `Pairs`, or a `SoftBatch` where there is no
                reference.

        Raises:
            ValueError: there is neither a reference nor logits.
        """
        if self.reference is not None and isinstance(examples, Pairs):
            target = jax.lax.stop_gradient(logits_at_end(self.reference, examples))
            divergence = kl_divergence(target, logits_at_end(model, examples))
            # One without a counterpart has no answers, and counts for no objective.
            return divergence[..., None], (examples.right >= 0).any(-1, keepdims=True)
        if self.reference is not None:
            target = self.reference(examples.tokens)
        elif isinstance(examples, SoftBatch):
            target = examples.logits
        else:
            raise ValueError(
                f"KLTo: without a reference the examples must be a `SoftBatch`, which "
                f"has logits; got {type(examples).__name__}. Give `KLTo(reference)` a "
                "model, or the examples their logits."
            )
        # The reference may be the model itself, whose gradient would pull at the
        # target.
        target = jax.lax.stop_gradient(target)
        return kl_divergence(target, model(examples.tokens)), examples.mask


SPEC = ObjectiveSpec(
    name="kl_to",
    summary="divergence from what a reference model, or given logits, say",
    build=KLTo,
    takes="batch",
    units="nats",
)
