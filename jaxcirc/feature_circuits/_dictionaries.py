"""The dictionaries of some places of a model, in the order in which it computes."""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..models import Transformer, TransformerConfig, resolve_site, sites as site_table
from ..saes import Dictionary


class Place(eqx.Module):
    """Where one dictionary is.

    Args:
        name: As it was asked for, with the layer: `blocks.1.resid_post`.
        site: Own name of the site.
        layer: Its layer; None outside of the blocks.
    """

    name: str = eqx.field(static=True)
    site: str = eqx.field(static=True)
    layer: int | None = eqx.field(static=True)

    @property
    def row(self) -> int:
        """Where the place is along the first axis of arrays of its site."""
        return self.layer or 0


class Dictionaries(eqx.Module):
    """Dictionaries of places of a model, those of one site stacked over the layers.

    Whatever there is for every layer has a leading axis `layer`; a site outside of the
    blocks has one entry there. A layer without a dictionary has one of zeros, which
    `here` leaves out.

    Args:
        by_site: Own name of a site -> a stack of dictionaries.
        here: For each site, which layers have one.
        places: All places, in the order of computation.
    """

    by_site: dict[str, Dictionary]
    here: dict[str, Bool[Array, " layer"]]
    places: tuple[Place, ...] = eqx.field(static=True)

    def at(self, place: Place) -> Dictionary:
        """The dictionary of a place.

        Args:
            place: One of `places`.
        """
        return jax.tree.map(lambda x: x[place.row], self.by_site[place.site])

    def d_sae(self, site: str) -> int:
        """How many features a dictionary of the site has.

        Args:
            site: Own name.
        """
        return self.by_site[site].W_enc.shape[-1]


def dictionaries_of(
    model: Transformer, given: "Mapping[str, Dictionary] | Dictionaries"
) -> Dictionaries:
    """Dictionaries by the names of their sites, known to fit the model.

    Args:
        model: The model.
        given: A single place such as `blocks.0.hook_resid_post` with its dictionary, or
            a site such as `resid_post` with a stack of one for every layer, as
            `saes.train` makes it.

    Returns:
        The dictionaries, stacked by site.

    Raises:
        ValueError: there is none, a site is unknown or has no activation of `d_model`
            numbers for each position, a dictionary has another width or stands for
            another site than the one it reads, or those of one site differ in shape.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc import saes
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(d_vocab=5, n_ctx=4, n_layers=2, d_model=8)
        >>> model = Transformer(config, key=jr.key(0))
        >>> one = saes.TopK(d_in=8, d_sae=16, k=2).init(jr.key(1))
        >>> found = dictionaries_of(model, {"blocks.1.hook_resid_post": one})
        >>> [place.name for place in found.places], found.here["resid_post"].tolist()
        (['blocks.1.resid_post'], [False, True])
    """
    if isinstance(given, Dictionaries):
        return given
    if not given:
        raise ValueError("feature_circuits: give at least one dictionary.")
    config, table = model.config, site_table(model)
    found: dict[tuple[str, int | None], Dictionary] = {}
    for name, dictionary in given.items():
        for place, one in _single(name, dictionary, config, table).items():
            if place in found:
                raise ValueError(f"feature_circuits: {name!r} has two dictionaries.")
            found[place] = one
    by_site, here = {}, {}
    for site in dict.fromkeys(site for site, _ in found):
        layers = {layer: one for (own, layer), one in found.items() if own == site}
        rows = config.n_layers if None not in layers else 1
        by_site[site], here[site] = _stacked(site, layers, rows)
    return Dictionaries(by_site, here, tuple(_ordered(found, table)))


def directions(dictionary: Dictionary) -> Float[Array, "d_sae d_out"]:
    """What one unit of each latent adds to the activation.

    Args:
        dictionary: A single one.
    """
    rows = dictionary.W_dec
    if not dictionary.scales:
        return rows
    lengths = dictionary.norms
    return rows / jnp.where(lengths == 0, 1, lengths)[:, None]


def _single(name, dictionary, config: TransformerConfig, table):
    """The dictionaries of a name by site and layer, each fit for its place."""
    site, layer = resolve_site(name, table)
    info, front = table[site], dictionary.W_enc.ndim - 2
    axes = [axis for axis in info.axes if axis != "batch"]
    if axes[-2:] != ["pos", "d_model"]:
        raise ValueError(
            f"feature_circuits: {name!r} has axes {info.axes}; dictionaries are put "
            "where there is one activation of d_model numbers for each position, such "
            "as 'resid_post', 'attn.out' or 'mlp.out'."
        )
    width = config.d_model
    if dictionary.W_enc.shape[-2] != width or dictionary.W_dec.shape[-1] != width:
        raise ValueError(
            f"feature_circuits: {name!r} has {width} dimensions; its dictionary reads "
            f"{dictionary.W_enc.shape[-2]} and writes {dictionary.W_dec.shape[-1]}. "
            "Give the dictionary of this site."
        )
    if dictionary.W_skip is not None:
        raise ValueError(
            f"feature_circuits: the dictionary of {name!r} is a transcoder; give one "
            "that reconstructs what it reads."
        )
    if layer is not None or axes[0] != "layer":
        if front:
            raise ValueError(
                f"feature_circuits: {name!r} is a single place; got a stack of "
                f"{dictionary.W_enc.shape[:-2]} dictionaries."
            )
        return {(site, layer): dictionary}
    if dictionary.W_enc.shape[:-2] != (config.n_layers,):
        raise ValueError(
            f"feature_circuits: {name!r} needs a dictionary for each of the "
            f"{config.n_layers} layers, stacked; got "
            f"{dictionary.W_enc.shape[:-2] or 'a single one'}. Name a layer, such as "
            f"'blocks.0.{site}', to give one."
        )
    one = lambda i: jax.tree.map(lambda x: x[i], dictionary)
    return {(site, i): one(i) for i in range(config.n_layers)}


def _stacked(site, layers, rows: int):
    """One stack for a site, with zeros where a layer has none."""
    first = next(iter(layers.values()))
    shapes = {
        (jax.tree.structure(d), tuple(x.shape for x in jax.tree.leaves(d)))
        for d in layers.values()
    }
    if len(shapes) > 1:
        raise ValueError(
            f"feature_circuits: the dictionaries of {site!r} differ in size or kind "
            "between layers; they run as one stack. Give those of one kind."
        )
    zeros = jax.tree.map(jnp.zeros_like, first)
    by_row = {layer or 0: one for layer, one in layers.items()}
    rows_of = [by_row.get(i, zeros) for i in range(rows)]
    there = jnp.array([i in by_row for i in range(rows)])
    return jax.tree.map(lambda *xs: jnp.stack(xs), *rows_of), there


def _ordered(found, table) -> list[Place]:
    order = list(table)
    inside = [order.index(s) for s in order if table[s].axes[:1] == ("layer",)]

    def when(key):
        site, layer = key
        place = order.index(site)
        stage = 1 if layer is not None else 0 if place < inside[0] else 2
        return stage, layer or 0, place

    return [
        Place(site if layer is None else f"blocks.{layer}.{site}", site, layer)
        for site, layer in sorted(found, key=when)
    ]
