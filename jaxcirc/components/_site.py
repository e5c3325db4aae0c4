"""Activations at a site of the forward pass, and gradients of the loss there."""

import re

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ..models import Transformer, TransformerConfig, resolve_site, sites
from ._component import (
    AbstractComponent,
    Data,
    Needs,
    Observed,
    Position,
    check_options,
    check_position,
    label_of,
)
from ._part import Part


class Site(AbstractComponent):
    """What a site holds, with one row per example.

    Gradients are those of each example's own mean cross-entropy, in nats.

    Attributes:
        name: Name of the site (`resid_post`, `attn.z`), or its TransformerLens name.
        data: Activations or gradients.
        position: Token position, counted from the end if negative; `all` makes every
            position a row.
        heads: Take every head by itself where there is an axis of heads.
        layers: Only these layers; None for all.
    """

    name: str = eqx.field(static=True)
    data: Data = eqx.field(static=True)
    position: Position = eqx.field(static=True)
    heads: bool = eqx.field(static=True)
    layers: tuple[int, ...] | None = eqx.field(static=True)

    @property
    def label(self) -> str:
        """The name, with the kind of data and the position where not the usual."""
        return label_of(self.name, self.data, self.position, usual="activations")

    def needs(self, config: TransformerConfig) -> Needs:
        """Activations or gradients at this one site."""
        del config
        one = (self.name,)
        return Needs(gradients=one) if self.data == "gradients" else Needs(one)

    def check_batch(self, length: int) -> None:
        """Refuse sequences that the position lies outside of."""
        check_position(self.name, self.position, length, "sequences")

    def parts(self, seen: Observed) -> dict[str, Part]:
        """One part with rows and columns, by layer and head where there are such."""
        taken = seen.gradients if self.data == "gradients" else seen.activations
        return {self.label: self._rows(seen.model, taken[self.name])}

    def _rows(self, model: Transformer, x: Array) -> Part:
        """Matrices with axes [layer?, head?, row, column] from [layer?, example, …]."""
        place = site_of(self.name, model.config)
        assert place is not None
        info = sites(model)[place[0]]
        axes = [a for a in info.axes if a != "layer"]
        layer = info.axes[:1] == ("layer",) and place[1] is None
        dims = ["layer"] if layer else []
        # A layer of one where there is none, so that axes are counted alike below.
        x = x if layer else x[None]
        positions = "query_pos" if "query_pos" in axes else "pos"
        axis = 2 + axes.index(positions)
        # Positions first behind the examples, then heads, then what is left.
        x = jnp.moveaxis(x, axis, 2)
        rest = [a for a in axes if a != positions]
        head = next((a for a in ("head", "kv_head") if a in rest), None)
        if head is not None:
            x = jnp.moveaxis(x, 3 + rest.index(head), 3)
        # A pattern of attention means nothing across heads.
        split = head is not None and (self.heads or positions == "query_pos")
        lead = x.shape[:3] + (x.shape[3:4] if split else ())
        x = x.reshape(*lead, -1)
        if self.position == "all":
            x = x.reshape(x.shape[0], -1, *x.shape[3:])
        else:
            x = x[:, :, self.position]
        if split:
            assert head is not None
            x = jnp.moveaxis(x, 2, 1)
            dims.append(head)
        return Part(x if layer else x[0], tuple(dims), self.data)


def site(
    name: str,
    config: TransformerConfig,
    *,
    data: Data | None = None,
    position: Position = -1,
    heads: bool = False,
    layers: tuple[int, ...] | None = None,
) -> Site:
    """The component of a site that the model has.

    Args:
        name: Name of the site.
        config: The model's config.
        data: Activations unless given.
        position: Token position, or `all`.
        heads: Take every head by itself.
        layers: Only these layers.

    Raises:
        ValueError: the model has no such layer or position, or weights are asked for.
    """
    data = data or "activations"
    if data == "weights":
        raise ValueError(
            f"component {name!r} is a site, which has activations and gradients "
            "but no weights. For weights give a path, such as 'blocks.attn.W_Q'."
        )
    has: tuple[Data, ...] = ("activations", "gradients")
    check_options(name, config, data=data, has=has, layers=layers, position=position)
    return Site(name=name, data=data, position=position, heads=heads, layers=layers)


def site_of(name: str, config: TransformerConfig) -> tuple[str, int | None] | None:
    """A site's own name, and the layer that a TransformerLens name gives; or None.

    Args:
        name: Name of a site, or of anything else.
        config: The model's config.

    Raises:
        ValueError: the name gives a layer that the model lacks.
    """
    table = sites(config)
    known = {*table, *(row.transformer_lens for row in table.values())}
    if re.sub(r"^blocks\.\d+\.", "", name) not in known:
        return None
    return resolve_site(name, table)
