"""What a site is: its spelling elsewhere, its axes, and which models have it."""

from collections.abc import Callable
from typing import NamedTuple

from ._config import TransformerConfig


def _always(config: TransformerConfig) -> bool:
    del config
    return True


class SiteRow(NamedTuple):
    """A named place of the forward pass, before any sizes are known.

    Args:
        axes: Names of its axes, after those of layers and of the batch.
        transformer_lens: Its spelling in TransformerLens; None where it has none.
        there: Whether a model of this config has the site.
        wide: Whether values are at least float32, whatever the type of the weights.
    """

    axes: tuple[str, ...]
    transformer_lens: str | None = None
    there: Callable[[TransformerConfig], bool] = _always
    wide: bool = False


def _learned(c: TransformerConfig) -> bool:
    return c.positions == "learned"


def _rotary(c: TransformerConfig) -> bool:
    return c.positions == "rotary"


def _mlp(c: TransformerConfig) -> bool:
    return c.sizes.d_mlp != 0


def _gated(c: TransformerConfig) -> bool:
    return _mlp(c) and c.gated


def _middle(c: TransformerConfig) -> bool:
    # Side by side, no sub-layer reads what only the other has written.
    return _mlp(c) and not c.parallel


def _before(c: TransformerConfig) -> bool:
    return c.norm != "none" and c.norm_position in ("before", "both")


def _after(c: TransformerConfig) -> bool:
    return c.norm != "none" and c.norm_position in ("after", "both", "stream")


def _before_mlp(c: TransformerConfig) -> bool:
    return _mlp(c) and _before(c)


def _after_mlp(c: TransformerConfig) -> bool:
    return _mlp(c) and _after(c)


def _final(c: TransformerConfig) -> bool:
    return c.norm != "none" and c.norm_position != "stream"


_RESID = ("pos", "d_model")
_HEADS = ("pos", "head", "d_head")
_KV_HEADS = ("pos", "kv_head", "d_head")
_STREAMS = ("pos", "head", "d_model")
_HIDDEN = ("pos", "d_mlp")
_MAP = ("head", "query_pos", "key_pos")
_SCALE = ("pos", "one")


def _norm(name: str, there: Callable[[TransformerConfig], bool]) -> dict[str, SiteRow]:
    return {
        f"{name}.scale": SiteRow(_SCALE, f"{name}.hook_scale", there, wide=True),
        f"{name}.normalized": SiteRow(_RESID, f"{name}.hook_normalized", there),
    }


# Rows stand in order of computation, in which `sites` lists them.
_FIRST = {
    "embed": SiteRow(_RESID, "hook_embed"),
    "pos_embed": SiteRow(_RESID, "hook_pos_embed", _learned),
}
BLOCK_SITES = {
    "resid_pre": SiteRow(_RESID, "hook_resid_pre"),
    "attn.q_in": SiteRow(_STREAMS, "hook_q_input"),
    "attn.k_in": SiteRow(_STREAMS, "hook_k_input"),
    "attn.v_in": SiteRow(_STREAMS, "hook_v_input"),
    **_norm("ln1", _before),
    "attn.q": SiteRow(_HEADS, "attn.hook_q"),
    "attn.k": SiteRow(_KV_HEADS, "attn.hook_k"),
    "attn.v": SiteRow(_KV_HEADS, "attn.hook_v"),
    "attn.rot_q": SiteRow(_HEADS, "attn.hook_rot_q", _rotary),
    "attn.rot_k": SiteRow(_KV_HEADS, "attn.hook_rot_k", _rotary),
    "attn.scores": SiteRow(_MAP, "attn.hook_attn_scores", wide=True),
    "attn.pattern": SiteRow(_MAP, "attn.hook_pattern"),
    "attn.z": SiteRow(_HEADS, "attn.hook_z"),
    "attn.result": SiteRow(_STREAMS, "attn.hook_result"),
    **_norm("ln1_post", _after),
    "attn.out": SiteRow(_RESID, "hook_attn_out"),
    "resid_mid": SiteRow(_RESID, "hook_resid_mid", _middle),
    "mlp.in": SiteRow(_RESID, "hook_mlp_in", _mlp),
    **_norm("ln2", _before_mlp),
    "mlp.pre": SiteRow(_HIDDEN, "mlp.hook_pre", _mlp),
    "mlp.pre_linear": SiteRow(_HIDDEN, "mlp.hook_pre_linear", _gated),
    "mlp.post": SiteRow(_HIDDEN, "mlp.hook_post", _mlp),
    **_norm("ln2_post", _after_mlp),
    "mlp.out": SiteRow(_RESID, "hook_mlp_out", _mlp),
    "resid_post": SiteRow(_RESID, "hook_resid_post"),
}
_LAST = {
    "logits.in": SiteRow(_RESID),
    **_norm("ln_final", _final),
    "logits": SiteRow(("pos", "d_vocab"), "hook_logits"),
}
ALL_SITES = _FIRST | BLOCK_SITES | _LAST


def in_blocks(site: str) -> bool:
    """Whether a site is inside the blocks, so that it has a `layer` axis.

    A site inside an intervention is named after the place where that stands, such as
    `mlp.out.features`, and is inside the blocks if that place is.

    Args:
        site: Its own name, not TransformerLens'.
    """
    outside = (_FIRST | _LAST).keys()
    return not any(site == name or site.startswith(f"{name}.") for name in outside)
