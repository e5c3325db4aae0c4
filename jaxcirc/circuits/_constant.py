"""Cut edges carry the same for all examples."""

import equinox as eqx
import jax
import jax.numpy as jnp

from ..models import Transformer, Written, written
from ..tasks import Pairs
from ._abstract_ablation import AbstractAblation


class Constant(AbstractAblation):
    """The same for all examples: means, or constants that were learnt.

    Args:
        values: What each source is taken to write, with an example axis of size 1, and
            a position axis of size 1 where it is the same at all positions.
        of: What it is called.
    """

    values: Written
    of: str = eqx.field(static=True)

    def __init__(self, values: Written, of: str):
        self.values, self.of = values, of

    @property
    def name(self) -> str:  # pyright: ignore
        """What it is called."""
        return self.of

    def __call__(self, model: Transformer, pairs: Pairs) -> Written:
        """The constants, once for each example and position."""
        shapes = jax.eval_shape(written, model, pairs.clean)
        return jax.tree.map(
            lambda x, shape: jnp.broadcast_to(x, shape.shape), self.values, shapes
        )
