"""Sites: the named places of a forward pass, and what may be asked of them."""

import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Int

from .._core import unknown
from ._config import TransformerConfig
from ._edits import AbstractEdit

if TYPE_CHECKING:
    from ._transformer import Transformer

_RESID = ("pos", "d_model")
_HEADS = ("pos", "head", "d_head")
_KV_HEADS = ("pos", "kv_head", "d_head")
_MLP = ("pos", "d_mlp")
_MAP = ("head", "query_pos", "key_pos")
_SCALE = ("pos", "one")

# name: (TransformerLens spelling, axes after layer and batch), in order of computation.
_BEFORE = {
    "embed": ("hook_embed", _RESID),
    "pos_embed": ("hook_pos_embed", _RESID),
}
BLOCK_SITES = {
    "resid_pre": ("hook_resid_pre", _RESID),
    "attn.q_in": ("hook_q_input", ("pos", "head", "d_model")),
    "attn.k_in": ("hook_k_input", ("pos", "kv_head", "d_model")),
    "attn.v_in": ("hook_v_input", ("pos", "kv_head", "d_model")),
    "ln1.scale": ("ln1.hook_scale", _SCALE),
    "ln1.normalized": ("ln1.hook_normalized", _RESID),
    "attn.q": ("attn.hook_q", _HEADS),
    "attn.k": ("attn.hook_k", _KV_HEADS),
    "attn.v": ("attn.hook_v", _KV_HEADS),
    "attn.rot_q": ("attn.hook_rot_q", _HEADS),
    "attn.rot_k": ("attn.hook_rot_k", _KV_HEADS),
    "attn.scores": ("attn.hook_attn_scores", _MAP),
    "attn.pattern": ("attn.hook_pattern", _MAP),
    "attn.z": ("attn.hook_z", _HEADS),
    "attn.result": ("attn.hook_result", ("pos", "head", "d_model")),
    "ln1_post.scale": ("ln1_post.hook_scale", _SCALE),
    "ln1_post.normalized": ("ln1_post.hook_normalized", _RESID),
    "attn.out": ("hook_attn_out", _RESID),
    "resid_mid": ("hook_resid_mid", _RESID),
    "mlp.in": ("hook_mlp_in", _RESID),
    "ln2.scale": ("ln2.hook_scale", _SCALE),
    "ln2.normalized": ("ln2.hook_normalized", _RESID),
    "mlp.pre": ("mlp.hook_pre", _MLP),
    "mlp.pre_linear": ("mlp.hook_pre_linear", _MLP),
    "mlp.post": ("mlp.hook_post", _MLP),
    "ln2_post.scale": ("ln2_post.hook_scale", _SCALE),
    "ln2_post.normalized": ("ln2_post.hook_normalized", _RESID),
    "mlp.out": ("hook_mlp_out", _RESID),
    "resid_post": ("hook_resid_post", _RESID),
}
_AFTER = {
    "ln_final.scale": ("ln_final.hook_scale", _SCALE),
    "ln_final.normalized": ("ln_final.hook_normalized", _RESID),
    "logits": ("hook_logits", ("pos", "d_vocab")),
}
ALL_SITES = _BEFORE | BLOCK_SITES | _AFTER
_SPLIT_INPUTS = frozenset({"attn.q_in", "attn.k_in", "attn.v_in"})
_FROM_TL = {hook: name for name, (hook, _) in ALL_SITES.items()}
_BLOCK_NAME = re.compile(r"blocks\.(\d+)\.(.+)")


class SiteInfo(NamedTuple):
    """One row of the site table."""

    name: str
    transformer_lens: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype


def sites(
    model: "Transformer | TransformerConfig",
    tokens_shape: tuple[int, ...] | None = None,
) -> dict[str, SiteInfo]:
    """The sites that a model has, in order of computation, without running it.

    Args:
        model: A model, or just its config.
        tokens_shape: Shape of the tokens; one sequence of `n_ctx` by default.

    Returns:
        Name -> axes, shape and type. Sites inside the blocks have a leading `layer`
        axis; `transformer_lens` is the spelling after `blocks.LAYER.`.

    Example:
        >>> from jaxcirc.models import TransformerConfig, sites
        >>> table = sites(TransformerConfig(d_vocab=10, n_ctx=8, n_layers=3))
        >>> table["attn.z"].axes, table["attn.z"].shape
        (('layer', 'pos', 'head', 'd_head'), (3, 8, 4, 16))
    """
    config = model if isinstance(model, TransformerConfig) else model.config
    dtype = "float32" if config is model else model.W_E.dtype.name  # pyright: ignore
    return _site_table(config, tokens_shape or (config.n_ctx,), dtype)


@functools.lru_cache(maxsize=256)
def _site_table(
    config: TransformerConfig, tokens_shape: tuple[int, ...], dtype: str
) -> dict[str, SiteInfo]:
    from ._transformer import Transformer, forward

    def record():
        model = Transformer(config, key=jr.key(0))
        model = jax.tree.map(lambda x: x.astype(dtype), model)
        return forward(model, jnp.zeros(tokens_shape, int), (), tuple(ALL_SITES))[1]

    recorded = jax.eval_shape(record)
    table = {}
    for name, (hook, axes) in ALL_SITES.items():
        if name not in recorded:
            continue
        shape = recorded[name].shape
        layer = ("layer",) if name in BLOCK_SITES else ()
        batch = ("batch",) * (len(shape) - len(axes) - len(layer))
        full_axes = (*layer, *batch, *axes)
        table[name] = SiteInfo(name, hook, full_axes, shape, recorded[name].dtype)
    return table


def resolve_site(name: str, table: dict[str, SiteInfo]) -> tuple[str, int | None]:
    """A site's own name, and the layer where a TransformerLens name gives one.

    Raises:
        ValueError: the model has no such site; the message lists near names.
    """
    layer, own = None, name
    if match := _BLOCK_NAME.fullmatch(name):
        layer, own = int(match[1]), match[2]
    own = _FROM_TL.get(own, own)
    if own not in table:
        raise ValueError(unknown("site", name, table, aliases=_aliases(table, layer)))
    if layer is not None:
        if own not in BLOCK_SITES:
            raise ValueError(f"site {name!r}: {own!r} is not inside the blocks.")
        if layer >= table[own].shape[0]:
            raise ValueError(
                f"site {name!r}: the model has {table[own].shape[0]} layers."
            )
    return own, layer


def _aliases(table: dict[str, SiteInfo], layer: int | None) -> list[str]:
    hooks = [row.transformer_lens for name, row in table.items() if name in BLOCK_SITES]
    return [f"blocks.{layer or 0}.{hook}" for hook in hooks]


def check_edits(
    model: "Transformer",
    tokens: Int[Array, "*batch pos"],
    edits: Sequence[AbstractEdit],
) -> tuple[AbstractEdit, ...]:
    """The edits under their own site names, each known to fit, before any tracing.

    Raises:
        ValueError: an unknown site, arrays that do not fit it, or two edits that
            cannot be combined.
    """
    if not edits:
        return ()
    table = sites(model, tokens.shape)
    checked = []
    for edit in edits:
        name, layer = resolve_site(edit.site, table)
        if layer is not None:
            edit = edit.at_layer(name, layer, model.config.n_layers)
        elif name != edit.site:
            raise ValueError(
                f"{type(edit).__name__}: give the layer ('blocks.0.{edit.site}') or "
                f"use {name!r} with arrays for every layer."
            )
        _check_shapes(edit, table[name])
        checked.append(edit)
    names = {e.site for e in checked}
    if names & _SPLIT_INPUTS and names & {"ln1.scale", "ln1.normalized"}:
        raise ValueError(
            "edits at attn.q_in, attn.k_in or attn.v_in give every head its own "
            "normalised input, which an edit at ln1 would not reach; use only one."
        )
    return tuple(checked)


def _check_shapes(edit: AbstractEdit, site: SiteInfo) -> None:
    per_layer = site.axes[:1] == ("layer",)
    for field in ("delta", "factor", "value", "where"):
        array = getattr(edit, field, None)
        if array is None:
            continue
        shape, target = array.shape, site.shape
        fits = not per_layer or (shape[:1] == target[:1])
        if per_layer:
            shape, target = shape[1:], target[1:]
        try:
            fits = fits and np.broadcast_shapes(shape, target) == target
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"{type(edit).__name__}({edit.site!r}): `{field}` has shape "
                f"{array.shape}, which does not broadcast to {site.shape} "
                f"{site.axes}. Axes align from the right"
                + (" after a leading layer axis." if per_layer else ".")
            )
