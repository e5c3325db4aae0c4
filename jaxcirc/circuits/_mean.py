"""Cut edges carry the mean of what sources write over examples."""

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ..models import Transformer, Written, written
from ..tasks import Pairs
from ._abstract_ablation import AblationSpec, AbstractAblation
from ._constant import Constant


class Mean(AbstractAblation):
    """The mean of what each source writes over examples, by position or over all.

    Args:
        of: Sequences that are averaged: `corrupted`, `clean`, or `both`.
        positions: `each` averages every position for itself, which needs sequences in
            which the same positions mean the same; `all` averages over positions too.
    """

    of: Literal["corrupted", "clean", "both"] = eqx.field(
        static=True, default="corrupted"
    )
    positions: Literal["each", "all"] = eqx.field(static=True, default="each")
    name: ClassVar[str] = "mean"

    def fitted(self, model: Transformer, pairs: Pairs) -> Constant:
        """Means over all pairs.

        Args:
            model: The model.
            pairs: All pairs.

        Raises:
            ValueError: positions are averaged for themselves, and the named positions
                of the pairs are at different places in different examples.
        """
        if self.positions == "each":
            _check_aligned(pairs)
        values = _means(model, pairs, self.of, self.positions)
        return Constant(values=values, of=self.name)

    def __call__(self, model: Transformer, pairs: Pairs) -> Written:
        """Means over these pairs alone; `fitted` takes them over all."""
        return self.fitted(model, pairs)(model, pairs)


@eqx.filter_jit
def _means(model: Transformer, pairs: Pairs, of: str, positions: str) -> Written:
    sequences = {
        "clean": [pairs.clean],
        "corrupted": [pairs.corrupted],
        "both": [pairs.clean, pairs.corrupted],
    }[of]

    # One example after the other, so that nothing is held for all of them at once.
    def add(total: Written, tokens: Array) -> tuple[Written, None]:
        return jax.tree.map(jnp.add, total, written(model, tokens[None])), None

    tokens = jnp.concatenate(sequences)
    shapes = jax.eval_shape(written, model, tokens[:1])
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    total, _ = jax.lax.scan(add, zeros, tokens)
    mean = jax.tree.map(lambda x: x / jnp.asarray(len(tokens), x.dtype), total)
    if positions == "each":
        return mean
    over = lambda x, axis: x.mean(axis=axis, keepdims=True)
    return Written(
        over(mean.embed, -2),
        None if mean.pos_embed is None else over(mean.pos_embed, -2),
        over(mean.heads, -3),
        None if mean.mlps is None else over(mean.mlps, -2),
    )


def _check_aligned(pairs: Pairs) -> None:
    """Refuse pairs whose named positions are not at the same places.

    Raises:
        ValueError: some position differs between examples.
    """
    for name, places in pairs.positions.items():
        if isinstance(places, Tracer):
            continue
        if len(set(np.asarray(places).ravel().tolist())) > 1:
            raise ValueError(
                f"Mean: position `{name}` is at different places in different examples "
                f"({np.asarray(places).ravel()[:8].tolist()}, …), so a mean at each "
                "position mixes what does not correspond. Give Mean(positions='all') "
                "or pairs that are aligned."
            )


SPEC = AblationSpec(
    "mean", "the mean of what is written, by position or over all", Mean
)
