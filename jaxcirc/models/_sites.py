"""Sites: the named places of a forward pass, and how one is found by its name."""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._core import unknown
from ._config import TransformerConfig
from ._intervention import AbstractIntervention
from ._site_rows import ALL_SITES, BLOCK_SITES, SiteRow, in_blocks

_FROM_TL = {row.transformer_lens: name for name, row in ALL_SITES.items()}
_BLOCK_NAME = re.compile(r"blocks\.(\d+)\.(.+)")


class SiteInfo(NamedTuple):
    """One row of the site table.

    Args:
        name: The site's own name, such as `attn.z`.
        transformer_lens: Its spelling there, after `blocks.LAYER.`; None without one.
        axes: Names of all axes.
        shape: Their sizes.
        dtype: The type of its values.
    """

    name: str
    transformer_lens: str | None
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype


@runtime_checkable
class _Model(Protocol):
    """The little that the table needs of a model."""

    config: TransformerConfig
    W_E: Array


def sites(
    model: _Model | TransformerConfig,
    tokens_shape: tuple[int, ...] | None = None,
    edits: Sequence[AbstractIntervention] = (),
) -> dict[str, SiteInfo]:
    """The sites that a model has, in order of computation, without running it.

    Shapes are looked up: each axis has a name, and a config gives each name its size.

    Args:
        model: A model, or just its config.
        tokens_shape: Shape of the tokens; one sequence of `n_ctx` by default.
        edits: Interventions whose inner sites are to be listed too.

    Returns:
        Name -> axes, shape and type. Sites inside the blocks have a leading `layer`
        axis; `transformer_lens` is the spelling after `blocks.LAYER.`.

    Raises:
        ValueError: an intervention has an inner site that is not named after one of the
            sites where it stands.

    Example:
        >>> from jaxcirc.models import TransformerConfig, sites
        >>> table = sites(TransformerConfig(d_vocab=10, n_ctx=8, n_layers=3))
        >>> table["attn.z"].axes, table["attn.z"].shape
        (('layer', 'pos', 'head', 'd_head'), (3, 8, 4, 16))
    """
    config = model if isinstance(model, TransformerConfig) else model.config
    dtype = "float32" if isinstance(model, TransformerConfig) else model.W_E.dtype.name
    shape = tokens_shape or (config.n_ctx,)
    # A copy: the cached table is shared by all models of the config.
    table = dict(_site_table(config, shape, dtype))
    for edit in edits:
        _check_names(edit)
        sizes = {**axis_sizes(config, shape[-1]), **edit.axis_sizes()}
        for name, row in edit.inner_sites().items():
            table[name] = _site_info(name, row, sizes, shape[:-1], dtype)
    return table


def axis_sizes(config: TransformerConfig, n_pos: int) -> dict[str, int]:
    """The size of every axis that a site can have, by the axis's name.

    Args:
        config: The model's config.
        n_pos: Length of the sequences.
    """
    c = config
    return {
        "layer": c.n_layers,
        "pos": n_pos,
        "query_pos": n_pos,
        "key_pos": n_pos,
        "head": c.n_heads,
        "kv_head": c.sizes.n_kv_heads,
        "d_head": c.sizes.d_head,
        "d_model": c.d_model,
        "d_mlp": c.sizes.d_mlp,
        "d_vocab": c.sizes.d_vocab_out,
        "one": 1,
    }


@functools.lru_cache(maxsize=256)
def _site_table(
    config: TransformerConfig, tokens_shape: tuple[int, ...], dtype: str
) -> dict[str, SiteInfo]:
    sizes = axis_sizes(config, tokens_shape[-1])
    table = {}
    for name, row in ALL_SITES.items():
        # Learned positions are the same for every sequence.
        alike = name == "pos_embed"
        batch = (1,) * (len(tokens_shape) - 1) if alike else tokens_shape[:-1]
        if row.there(config):
            table[name] = _site_info(name, row, sizes, batch, dtype)
    return table


def _site_info(
    name: str,
    row: SiteRow,
    sizes: Mapping[str, int],
    batch: tuple[int, ...],
    dtype: str,
) -> SiteInfo:
    layer = ("layer",) if in_blocks(name) else ()
    sizes_of = lambda axes: tuple(sizes[axis] for axis in axes)
    shape = (*sizes_of(layer), *batch, *sizes_of(row.axes))
    kind = jnp.dtype(dtype)
    # Scores and divisors are computed in float32 however narrow the weights are.
    if row.wide and kind.itemsize < 4:
        kind = jnp.dtype("float32")
    axes = (*layer, *("batch",) * len(batch), *row.axes)
    return SiteInfo(name, row.transformer_lens, axes, shape, kind)


def _check_names(edit: AbstractIntervention) -> None:
    for name in edit.inner_sites():
        if not name.startswith(tuple(f"{site}." for site in edit.sites)):
            raise ValueError(
                f"{type(edit).__name__}: a site inside an intervention is named after "
                f"where that stands, such as '{edit.sites[0]}.features'; got {name!r}."
            )


def resolve_site(name: str, table: Mapping[str, SiteInfo]) -> tuple[str, int | None]:
    """A site's own name, and the layer where a TransformerLens name gives one.

    Args:
        name: Either spelling.
        table: The sites that there are; see `sites`.

    Raises:
        ValueError: the model has no such site, and the message lists near names; or the
            name has a layer that the model has not, or one of a site that has none.

    Example:
        >>> from jaxcirc.models import TransformerConfig, resolve_site, sites
        >>> table = sites(TransformerConfig(d_vocab=10, n_ctx=8))
        >>> resolve_site("blocks.1.attn.hook_z", table)
        ('attn.z', 1)
    """
    layer, own = None, name
    if match := _BLOCK_NAME.fullmatch(name):
        layer, own = int(match[1]), match[2]
    own = _FROM_TL.get(own, own)
    if own not in table:
        raise ValueError(unknown("site", name, table, aliases=_aliases(table, layer)))
    if layer is not None:
        if not in_blocks(own):
            raise ValueError(f"site {name!r}: {own!r} is not inside the blocks.")
        if layer >= table[own].shape[0]:
            raise ValueError(
                f"site {name!r}: the model has {table[own].shape[0]} layers."
            )
    return own, layer


def _aliases(table: Mapping[str, SiteInfo], layer: int | None) -> list[str]:
    hooks = [table[name].transformer_lens for name in BLOCK_SITES if name in table]
    return [f"blocks.{layer or 0}.{hook}" for hook in hooks]
