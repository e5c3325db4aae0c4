"""What training minimises, and what a local learning coefficient is of."""

import jax
from jaxtyping import Array, Float

from ..metrics import cross_entropy
from ..models import Transformer
from ..tasks import Batch


def mean_loss(model: Transformer, batch: Batch) -> Float[Array, ""]:
    """Mean cross-entropy over the positions that count, in nats."""
    return cross_entropy(model(batch.tokens), batch.targets, batch.mask)


def example_losses(model: Transformer, batch: Batch) -> Float[Array, " example"]:
    """Mean cross-entropy of each example over its positions that count, in nats."""
    return jax.vmap(cross_entropy)(model(batch.tokens), batch.targets, batch.mask)
