"""The config of a `HookedTransformer`, read off its tensors and off what was said."""

from collections.abc import Mapping
from typing import Any

from jaxcirc.checkpoints.formats import Tensors
from jaxcirc.models import TransformerConfig

from .families import Fields, UnsupportedOption

# These keys do not change what is computed, or the tensors show them.
# fmt: off
_NO_PART = frozenset((
    "attn_only", "checkpoint_index", "checkpoint_label_type", "checkpoint_value",
    "d_head", "d_mlp", "d_model", "d_vocab", "d_vocab_out", "default_prepend_bos",
    "device", "experts_per_token", "from_checkpoint", "gated_mlp", "init_mode",
    "init_weights", "load_in_4bit", "model_name", "n_devices", "n_heads",
    "n_key_value_heads", "n_layers", "n_params", "NTK_by_parts_factor",
    "NTK_by_parts_high_freq_factor", "NTK_by_parts_low_freq_factor",
    "NTK_original_ctx_len", "original_architecture",
    "relative_attention_max_distance", "relative_attention_num_buckets", "seed",
    "tie_word_embeddings", "tokenizer_name", "tokenizer_prepends_bos",
    "trust_remote_code", "ungroup_grouped_query_attention", "use_attn_in",
    "use_attn_result", "use_hook_mlp_in", "use_hook_tokens",
    "use_normalization_before_and_after", "use_split_qkv_input",
))
# fmt: on
_ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_fast": "gelu_tanh"}


def read_cfg(
    tensors: Tensors, cfg: Mapping[str, Any], options: Mapping[str, Any]
) -> TransformerConfig:
    """The config of such tensors; see `from_transformer_lens`.

    Args:
        tensors: Tensors by TransformerLens' names.
        cfg: The `HookedTransformerConfig` as a mapping.
        options: Fields of `TransformerConfig`, which go before what both say.

    Raises:
        UnsupportedOption: `cfg` asks for what the model cannot do, or the tensors are
            of another library.
        ValueError: nothing says the norm, the positions or the activation.
    """
    shapes = tensors.shapes
    ranks = {"embed.W_E": 2, "blocks.0.attn.W_Q": 3, "blocks.0.attn.W_K": 3}
    if any(len(shapes.get(name, ())) != rank for name, rank in ranks.items()):
        raise UnsupportedOption(
            f"{tensors.name}: these are not TransformerLens' tensors; it has no "
            "embed.W_E of two axes and blocks.0.attn.W_Q and W_K of three."
        )
    f = Fields("HookedTransformer", cfg, _NO_PART)
    made = _sizes(f, shapes)
    _check_said(tensors, made, cfg, options)
    made |= _norms(f, shapes)
    made |= _attention(f, shapes, made["n_layers"])
    act = f.get("act_fn", default=None, null=None)
    if made["d_mlp"] and act is not None:
        made["activation"] = _ACTIVATIONS.get(act, act)
    f.finish()
    return TransformerConfig(**made | dict(options))


def _sizes(f: Fields, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Sizes, which the tensors themselves show."""
    d_vocab, d_model = shapes["embed.W_E"]
    n_heads, _, d_head = shapes["blocks.0.attn.W_Q"]
    n_layers = 1 + max(int(n.split(".")[1]) for n in shapes if n.startswith("blocks."))
    n_ctx = f.size("n_ctx", default=2048)
    learned = "pos_embed.W_pos" in shapes
    return {
        "d_vocab": d_vocab,
        "d_vocab_out": shapes.get("unembed.W_U", (0, None))[1],
        "n_ctx": shapes["pos_embed.W_pos"][0] if learned else n_ctx,
        "n_layers": n_layers,
        "d_model": d_model,
        "n_heads": n_heads,
        "n_kv_heads": shapes["blocks.0.attn.W_K"][0],
        "d_head": d_head,
        "d_mlp": shapes.get("blocks.0.mlp.W_in", (0, 0))[1],
        "gated": "blocks.0.mlp.W_gate" in shapes,
        "attention_bias": "blocks.0.attn.b_Q" in shapes,
        "mlp_bias": "blocks.0.mlp.b_in" in shapes,
        "unembed_bias": "unembed.b_U" in shapes,
        "positions": "learned" if learned else "none",
        "tied": "unembed.W_U" not in shapes,
    }


# Fields of the config that tensors may leave open: what to say of each.
_UNSAID = {
    "norm": "its norms, which hold no weights when they are folded (`norm`, or "
    "`normalization_type`: LNPre, RMSPre or null)",
    "positions": "its positions, of which there is no `W_pos` (`positions`, or "
    "`positional_embedding_type`: rotary or null)",
    "activation": "the activation of its MLPs (`activation`, or `act_fn`)",
    "tied": "its unembedding, of which there is no `W_U` (`tied`)",
}


def _check_said(
    tensors: Tensors,
    made: Mapping[str, Any],
    cfg: Mapping[str, Any],
    options: Mapping[str, Any],
) -> None:
    """Refuse to guess what leaves no tensor behind; that there is none proves nothing.

    A folded norm still normalises, and rotary positions have no weights.
    """
    said = {
        "norm": "normalization_type" in cfg or "blocks.0.ln1.w" in tensors,
        "positions": "positional_embedding_type" in cfg or made["positions"] != "none",
        "activation": cfg.get("act_fn") is not None or not made["d_mlp"],
        "tied": not made["tied"],
    }
    unsaid = [_UNSAID[k] for k, known in said.items() if not known and k not in options]
    if unsaid:
        raise ValueError(
            f"{tensors.name}: nothing says {'; nor '.join(unsaid)}. Give `cfg`, the "
            "model's config (`model.cfg.to_dict()`), or these."
        )


def _norms(f: Fields, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Fields of a config for norms."""
    shown = "LN" if "blocks.0.ln1.b" in shapes else "RMS"
    shown = shown if "blocks.0.ln1.w" in shapes else None
    kind = f.get("normalization_type", default=shown, null=None)
    eps = f.number("eps", default=1e-5)
    f.need("final_rms", False, "the last norm is of the same kind as the others")
    names = {
        "LN": "layer",
        "LNPre": "layer_nonparametric",
        "RMS": "rms",
        "RMSPre": "rms",
        None: "none",
    }
    if kind not in names:
        raise UnsupportedOption(
            f"HookedTransformer: `normalization_type` = {kind!r} is not supported; "
            "known are LN, LNPre, RMS, RMSPre and null."
        )
    both = "blocks.0.ln1_post.w" in shapes
    return {
        "norm": names[kind],
        "norm_eps": eps,
        "norm_position": "both" if both else "before",
    }


def _attention(
    f: Fields, shapes: Mapping[str, tuple[int, ...]], n_layers: int
) -> dict[str, Any]:
    """Fields of a config for attention and its scores."""
    d_head = shapes["blocks.0.attn.W_Q"][2]
    # Both caps and the scale are -1 where they are off.
    soft = f.number("attn_scores_soft_cap", default=-1.0, null=-1.0, least=-1)
    logit = f.number("output_logits_soft_cap", default=-1.0, null=-1.0, least=-1)
    scale = f.number("attn_scale", default=-1.0, null=-1.0, least=-1)
    # Left out, it follows from the size of the heads.
    scale = None if scale <= 0 or scale == d_head**0.5 else 1 / scale
    f.need("use_qk_norm", False, "its names for these norms are not mapped")
    direction = f.get("attention_dir", default="causal")
    out = {
        "causal": direction == "causal",
        "attention_scale": scale if f.flag("use_attn_scale", default=True) else 1.0,
        "scale_by_inverse_layer": f.flag(
            "scale_attn_by_inverse_layer_idx", default=False
        ),
        "attention_softcap": soft if soft > 0 else None,
        "logit_softcap": logit if logit > 0 else None,
        "parallel": f.flag("parallel_attn_mlp", default=False),
    }
    return out | _local(f, n_layers) | _rotary(f, shapes)


def _local(f: Fields, n_layers: int) -> dict[str, Any]:
    """Windows by layer, where attention is local."""
    local = f.flag("use_local_attn", default=False)
    types = f.get("attn_types", default=None, null=None) or ["local"] * n_layers
    window = f.size("window_size", default=None, null=None)
    if not local:
        return {}
    return {"window": tuple(window if t == "local" else None for t in types)}


def _rotary(f: Fields, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Fields of a config for rotary positions; none where positions do not turn."""
    kind = f.get("positional_embedding_type", default=None, null=None)
    if kind not in (None, "standard", "rotary"):
        raise UnsupportedOption(
            f"HookedTransformer: `positional_embedding_type` = {kind!r} is not "
            "supported; known are standard, rotary and null."
        )
    d_head = shapes["blocks.0.attn.W_Q"][2]
    # The table of angles has a column for each dimension that is turned.
    turned = shapes.get("blocks.0.attn.rotary_sin", (0, d_head))[-1]
    rotary_dim = f.size("rotary_dim", default=turned, null=turned)
    base = f.positive("rotary_base", default=10_000.0, null=10_000.0)
    adjacent = f.flag("rotary_adjacent_pairs", default=False)
    if kind != "rotary":
        return {}
    why = "load the model from its HuggingFace folder"
    f.need("use_NTK_by_parts_rope", False, why)
    f.need("rotary_base_local", None, why)
    f.need("rotary_scaling_factor", 1.0, why)
    return {
        "positions": "rotary",
        "rotary_base": base,
        "rotary_fraction": rotary_dim / d_head,
        "rotary_pairing": "interleaved" if adjacent else "half",
    }
