"""Series in activations: how a model answers as edits are made little by little."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from .._core import number_dtype, widened
from ..models import AbstractEdit, Transformer, TransformerConfig, resolved_edits
from ._along import series_of
from ._engines import check_order
from ._line import ModelLine
from ._models import check_finite
from ._series import Series


class Partly(AbstractEdit):
    """An edit that is made to the share `t`: x + t (edit(x) - x).

    Args:
        site: That of the edit.
        edit: What is done at t = 1.
        t: The share.
    """

    site: str = eqx.field(static=True)
    edit: AbstractEdit
    t: Float[Array, ""]

    @property
    def layered(self) -> tuple[str, ...]:
        """The edit's own arrays; the share is that of all layers."""
        return ("edit",) if self.edit.layered else ()

    def edited(self, x: Array) -> Array:
        """`x` on its way to what the edit makes of it."""
        return x + self.t.astype(x.dtype) * (self.edit.edited(x) - x)

    def at_layer(self, site: str, layer: int, n_layers: int) -> "Partly":
        """The same at one layer."""
        return Partly(site, self.edit.at_layer(site, layer, n_layers), self.t)

    def check(self, config: TransformerConfig, table: Mapping[str, Any]) -> None:
        """Refuse what the edit refuses.

        Args:
            config: The model's config.
            table: Its sites.

        Raises:
            ValueError: an array has other axes than the site.
        """
        self.edit.check(config, table)


def at_sites(
    model: Transformer,
    tokens: Integer[Array | np.ndarray, "*batch pos"],
    edits: Sequence[AbstractEdit],
    *,
    order: int = 4,
    engine: str = "scan",
) -> Series:
    """The Taylor series of the logits as edits of activations are made by degrees.

    At t every edit is made to the share t: what it edits is x + t (edit(x) - x), so
    t = 0 is the model alone and t = 1 the edited one. With `Add` at `embed` this is an
    expansion in the embeddings, with `Replace` at `attn.z` or `mlp.out` one in what a
    module puts out; of order 1, differences of a metric are what attribution patching
    estimates, and order 2 is its correction.

    Args:
        model: The model.
        tokens: Ids.
        edits: `Add`, `Scale`, `Replace` or other edits without memory.
        order: The highest power, from 0 to 24.
        engine: A row of `ENGINES`.

    Returns:
        Coefficients [order, *batch, pos, d_vocab_out].

    Raises:
        ValueError: there are no edits, one does not fit or remembers, weights are not
            finite, the order or the engine is unknown, or cannot follow the model.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import taylor
        >>> from jaxcirc.models import Add, Transformer, TransformerConfig
        >>> config = TransformerConfig(d_vocab=5, n_ctx=7, n_layers=1, d_model=4)
        >>> model = Transformer(config, key=jr.key(0))
        >>> shift = Add("logits", jnp.full((), 2.0))  # linear: one order is exact
        >>> series = taylor.at_sites(model, jnp.array([0, 1]), [shift])
        >>> series.degree(), float(series.coefficients[1].max())
        (1, 2.0)
    """
    who = "taylor.at_sites"
    check_order(order, who=who)
    check_finite(model, "model", who=who)
    for edit in edits:
        if not isinstance(edit, AbstractEdit):
            raise ValueError(
                f"{who}: takes edits without memory, such as `Add`; got "
                f"{type(edit).__name__}, whose memory has no share of t."
            )
    if not edits:
        raise ValueError(f"{who}: `edits` is empty, so nothing would move.")
    model = widened(model)
    zero = jnp.zeros((), number_dtype(model))
    partly = [Partly(edit.site, widened(edit), zero) for edit in edits]
    tokens, start = resolved_edits(model, tokens, partly, who=who)
    # The weights stand still, and one number moves for each edit: its share.
    still = jax.tree.map(lambda _: None, (model, start))
    shares = lambda tree: [edit.t for edit in tree[1]]
    one = jnp.ones_like(zero)
    way = eqx.tree_at(shares, still, [one] * len(start), is_leaf=lambda x: x is None)
    return series_of(ModelLine((model, start), way, tokens), order, engine)
