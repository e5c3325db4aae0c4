"""Cut edges carry nothing."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from ..models import Transformer, Written, written
from ..tasks import Pairs
from ._abstract_ablation import AblationSpec, AbstractAblation


class Zero(AbstractAblation):
    """Nothing. Constants that a model counts on are removed with what it computes.

    Biases that attention and MLPs add behind their heads stay; learned positions go
    with the embedding unless the graph has a source for them.
    """

    name: ClassVar[str] = "zero"

    def __call__(self, model: Transformer, pairs: Pairs) -> Written:
        """Zeros of the shape of what is written."""
        shapes = jax.eval_shape(written, model, pairs.clean)
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)


SPEC = AblationSpec("zero", "nothing", Zero)
