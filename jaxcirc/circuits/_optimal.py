"""Cut edges carry constants that are learnt to do the least harm."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Shaped

from .._core import Objective, require_loss
from ..models import EdgeMask, Transformer, Written, graph as graph_of
from ..objectives import KLTo
from ..tasks import Pairs
from ._abstract_ablation import AblationSpec, AbstractAblation
from ._chunks import require_room
from ._constant import Constant
from ._mean import Mean
from ._values import values_of


class Optimal(AbstractAblation):
    """Optimal ablation: one constant for each source, learnt to minimise a loss.

    What a mean or zero in place of a source does to the model is in part that it has
    never read such a stream. The constants that minimise

        mean over pairs of loss(model whose cut edges carry the constants)

    leave what is lost with the information itself (Li & Janson 2024, "Optimal ablation
    for interpretability"). A source has the same constant at all positions
    and for all that read it. They start as means over the clean sequences and are
    learnt by Adam, once for all pairs; each edge that is cut later takes them.

    Args:
        keep: Which edges are kept meanwhile; by default all are cut, and the constants
            are those of a model that sees nothing of its input.
        loss: What is minimised; by default the divergence from the clean run at the
            position `end`.
        steps: Of Adam.
        learning_rate: Of Adam, in the units of the residual stream.

    Raises:
        ValueError: the loss is a score, or a number is out of range.
    """

    keep: Shaped[Array, "source destination"] | None = None
    loss: Objective | None = None
    steps: int = eqx.field(static=True, default=300)
    learning_rate: float = eqx.field(static=True, default=0.01)
    name: ClassVar[str] = "optimal"

    def __check_init__(self):
        if self.loss is not None:
            require_loss(self.loss, who="Optimal")
        if self.steps < 0 or not self.learning_rate > 0:
            raise ValueError(
                "Optimal: `steps` must not be negative and `learning_rate` must be "
                f"positive; got {self.steps} and {self.learning_rate}."
            )

    def fitted(self, model: Transformer, pairs: Pairs) -> Constant:
        """Constants that are learnt of all pairs.

        Args:
            model: The model.
            pairs: All pairs.

        Raises:
            ValueError: they do not fit into memory together.
        """
        n_examples, n_pos = pairs.clean.shape
        require_room(model.config, n_examples, n_pos, "Optimal")
        start = Mean(of="clean", positions="all").fitted(model, pairs).values
        return Constant(values=_learnt(model, pairs, start, self), of=self.name)

    def __call__(self, model: Transformer, pairs: Pairs) -> Written:
        """Constants learnt of these pairs alone; `fitted` learns them of all."""
        return self.fitted(model, pairs)(model, pairs)


@eqx.filter_jit
def _learnt(model: Transformer, pairs: Pairs, start: Written, how: Optimal) -> Written:
    """The constants after all steps."""
    shape = graph_of(model.config).exists.shape
    keep = jnp.zeros(shape) if how.keep is None else how.keep.astype(jnp.float32)
    clean = model(pairs.clean)
    loss = KLTo(lambda _: clean) if how.loss is None else how.loss
    rate = optax.adam(how.learning_rate)

    def harm(values: Written) -> Float[Array, ""]:
        mask = EdgeMask(model, keep, Constant(values=values, of=how.name)(model, pairs))
        logits = model(pairs.clean, edits=(mask,))
        each, counts = values_of(loss, logits, pairs)
        return jnp.where(counts, each, 0).sum() / counts.sum().astype(each.dtype)

    def step(carry, _):
        values, state = carry
        slope = jax.grad(harm)(values)
        # Adam counts its steps in integers, and divides floats by their powers.
        with jax.numpy_dtype_promotion("standard"):
            updates, state = rate.update(slope, state)
        return (jax.tree.map(jnp.add, values, updates), state), None

    with jax.default_matmul_precision("highest"):
        first = (start, rate.init(start))  # pyright: ignore
        return jax.lax.scan(step, first, None, length=how.steps)[0][0]


SPEC = AblationSpec("optimal", "learnt constants that do the least harm", Optimal)
