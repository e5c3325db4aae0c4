"""Which site and layer of a model each dictionary of a stack belongs to."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from ..models import Transformer, resolve_site, sites
from ._dictionary import Dictionary


class Places(eqx.Module):
    """Where the dictionaries of a stack read and write.

    Attributes:
        site: Own name of the site that they read.
        target: Own name of the site that they stand for.
        target_shape: Sizes of its axes after the position.
        in_blocks: Whether both have a layer.
        layers: The layers in question, each once; 0 for a site without.
        of_member: For each dictionary the place of its layer among these.
    """

    site: str = eqx.field(static=True)
    target: str = eqx.field(static=True)
    target_shape: tuple[int, ...] = eqx.field(static=True)
    in_blocks: bool = eqx.field(static=True)
    layers: Int[Array, " layer"]
    of_member: Int[Array, " member"]


def places_of(
    dictionary: Dictionary,
    model: Transformer,
    site: str,
    target: str | None,
    layer: int | Int[Array | np.ndarray, "*member"] | None,
) -> Places:
    """The sites and layers of all members, known to fit the dictionary.

    Args:
        dictionary: One or a stack.
        model: The model.
        site: What they read, in either spelling.
        target: What they stand for; the same by default.
        layer: The layer of all or of each; None if the names say it.

    Raises:
        ValueError: as `evaluate` says.
    """
    table = sites(model)
    own, named = resolve_site(site, table)
    out, named_out = (own, named) if target is None else resolve_site(target, table)
    in_blocks = table[own].axes[0] == "layer"
    if in_blocks != (table[out].axes[0] == "layer"):
        raise ValueError(
            f"evaluate: {site!r} and {target!r} must both be inside the blocks, or "
            "neither."
        )
    shapes = [_behind_pos(table[name]) for name in (own, out)]
    _check_widths(dictionary, shapes, site, target or site)
    members = math.prod(dictionary.W_enc.shape[:-2])
    wanted = _layers(layer, {named, named_out}, in_blocks, members, site)
    n_layers = model.config.n_layers if in_blocks else 1
    if (wanted < 0).any() or (wanted >= n_layers).any():
        raise ValueError(
            f"evaluate: the model has layers 0 to {n_layers - 1}; got "
            f"{sorted(set(wanted.tolist()))}."
        )
    # Each layer once: its clean and ablated runs are the same for all its members.
    layers, of_member = np.unique(wanted, return_inverse=True)
    as_int = lambda x: jnp.asarray(x.reshape(-1), jnp.int32)
    return Places(own, out, shapes[1], in_blocks, as_int(layers), as_int(of_member))


def _behind_pos(info) -> tuple[int, ...]:
    """Sizes of a site's axes after its position.

    Raises:
        ValueError: it has no position, or two.
    """
    if info.axes.count("pos") != 1:
        raise ValueError(
            f"evaluate: {info.name!r} has axes {info.axes}, and no activation for each "
            "position."
        )
    return info.shape[info.axes.index("pos") + 1 :]


def _layers(layer, named, in_blocks, members, site) -> np.ndarray:
    """The layer of each member.

    Raises:
        ValueError: none or several are given.
    """
    said = named - {None}
    if layer is not None:
        said = said | set(np.unique(np.asarray(layer)).tolist()) if said else said
        wanted = np.asarray(layer).reshape(-1)
    else:
        wanted = np.array(sorted(said) if in_blocks else [0])
    if len(said) > 1 or (in_blocks and not wanted.size) or not in_blocks and layer:
        raise ValueError(
            f"evaluate: {site!r} needs one layer (`layer=0`), and no other in its name "
            f"or its target's; got {sorted(said) or layer}."
        )
    if wanted.size not in (1, members):
        raise ValueError(
            f"evaluate: {wanted.size} layers for {members} dictionaries; give one "
            "layer, or one for each."
        )
    return np.broadcast_to(wanted, (members,))


def _check_widths(dictionary, shapes, site, target) -> None:
    """Refuse dictionaries of other widths, and crosscoders.

    Raises:
        ValueError: as `evaluate` says.
    """
    front = dictionary.W_enc.shape[:-2]
    # Both have the axes of a stack in front; a crosscoder has its sites elsewhere.
    if dictionary.W_dec.shape[:-2] != front:
        raise ValueError(
            "evaluate: a crosscoder stands for several sites at once; evaluate its "
            "reconstruction with `reconstruction` and `firing`. Got W_enc "
            f"{dictionary.W_enc.shape} and W_dec {dictionary.W_dec.shape}."
        )
    widths = dictionary.W_enc.shape[-2], dictionary.W_dec.shape[-1]
    for width, shape, name in zip(widths, shapes, (site, target), strict=True):
        if width != math.prod(shape):
            raise ValueError(
                f"evaluate: {name!r} has {math.prod(shape)} dimensions, the dictionary "
                f"{width}; give the site on which it was trained."
            )
