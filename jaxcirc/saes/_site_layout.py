"""How the activations of some sites become rows of one width."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..models import TransformerConfig, resolve_site, sites as site_table


class SiteLayout(NamedTuple):
    """What stands between rows and width where these sites are read.

    Args:
        names: The sites, as they were asked for.
        axis: `layer` for one site in all layers, `site` for several, None for one.
        size: Length of that axis; 1 where there is none.
        width: Numbers in a row, all axes behind the position together.
    """

    names: tuple[str, ...]
    axis: str | None
    size: int
    width: int

    def rows(
        self, acts: dict[str, Array], batch: tuple[int, ...]
    ) -> Float[Array, "row *site d"]:
        """One row for each position of each sequence.

        Args:
            acts: What `models.capture` found.
            batch: How many sequences and positions there are.
        """
        n = math.prod(batch)
        if self.axis == "layer":
            by_layer = acts[self.names[0]].reshape(self.size, n, self.width)
            return jnp.moveaxis(by_layer, 0, 1)
        each = [acts[name].reshape(n, self.width) for name in self.names]
        return each[0] if self.axis is None else jnp.stack(each, axis=1)


def site_layout(config: TransformerConfig, names: Sequence[str]) -> SiteLayout:
    """Where sites are looked up, and whether they have rows, before anything runs.

    Args:
        config: The model's config.
        names: One site, in all layers or in one, or several of one width.

    Raises:
        ValueError: a site is unknown, has no row of numbers for each position, or has
            an axis of layers beside other sites; or widths differ.
    """
    table = site_table(config)
    found = [_layer_and_width(config, name) for name in names]
    widths = {name: width for name, (_, width) in zip(names, found, strict=True)}
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise ValueError(
            f"saes.train: sites that are stacked must have one width; got {listed}. "
            "Train them in calls of their own."
        )
    in_all_layers = [layers for layers, _ in found]
    width = found[0][1]
    if len(names) == 1:
        axis, size = ("layer", config.n_layers) if in_all_layers[0] else (None, 1)
        return SiteLayout(tuple(names), axis, size, width)
    for name, layers in zip(names, in_all_layers, strict=True):
        if layers:
            spelt = table[resolve_site(name, table)[0]].transformer_lens or name
            raise ValueError(
                f"saes.train: {name!r} has an axis of layers, and several sites are an "
                f"axis of their own. Name single layers, such as 'blocks.0.{spelt}'."
            )
    return SiteLayout(tuple(names), "site", len(names), width)


def _layer_and_width(config: TransformerConfig, name: str) -> tuple[bool, int]:
    """Whether a site is read in all layers, and the width of its rows."""
    own, layer = resolve_site(name, site_table(config))
    info = site_table(config)[own]
    layered = info.axes[0] == "layer"
    axes, sizes = info.axes[layered:], info.shape[layered:]
    if axes[0] != "pos" or "key_pos" in axes or own == "pos_embed":
        raise ValueError(
            f"saes.train: site {name!r} has axes {axes}, and not a row of numbers for "
            "each position of each sequence. Take one that has, such as 'resid_post'."
        )
    return layered and layer is None, math.prod(sizes[1:])


def site_width(config: TransformerConfig, names: Sequence[str]) -> int:
    """The numbers of an activation at some sites, which have to have as many.

    Args:
        config: The model's config.
        names: One site, in all layers or in one, or several of one width.

    Raises:
        ValueError: as training says it of sites that do not fit.
    """
    return site_layout(config, names).width
