"""Small configs that between them use every part a transformer can have."""

from jaxcirc.models import Llama3Rotary, TransformerConfig

BASE = {"d_vocab": 13, "n_ctx": 9, "n_layers": 2, "d_model": 12, "n_heads": 3}
GQA = {"n_heads": 4, "n_kv_heads": 2, "d_head": 4}

TOYS = {
    "plain": {"d_mlp": 20},
    "attention_only": {},
    "one_layer_no_norm": {"n_layers": 1, "norm": "none", "d_mlp": 8},
    "no_positions": {"positions": "none"},
    "rotary_half": {"positions": "rotary"},
    "rotary_partial": {"positions": "rotary", "rotary_fraction": 0.5},
    "rotary_interleaved": {"positions": "rotary", "rotary_pairing": "interleaved"},
    "rotary_interleaved_partial": {
        "positions": "rotary",
        "rotary_pairing": "interleaved",
        "rotary_fraction": 0.5,
    },
    "rotary_per_layer": {"positions": "rotary", "rotary_base": (1e4, 50.0)},
    "rotary_stretched": {"positions": "rotary", "rotary_factor": (1.0, 4.0)},
    "rotary_llama3": {
        "positions": "rotary",
        "d_head": 16,
        "rotary_llama3": Llama3Rotary(factor=8.0, low=0.1, high=3.0, n_ctx=64),
    },
    "layer_nonparametric": {"norm": "layer_nonparametric", "d_mlp": 8},
    "qkv_biases": {"attention_bias": "qkv"},
    "qk_norm_by_head": {**GQA, "norm": "rms_plus_one", "qk_norm": "head"},
    "qk_norm_of_all": {**GQA, "norm": "rms", "qk_norm": "all"},
    "clipped": {"clip_qkv": 0.2},
    "rms": {"norm": "rms", "d_mlp": 8},
    "rms_plus_one": {"norm": "rms_plus_one", "d_mlp": 8},
    "norm_after": {"norm": "rms", "norm_position": "after", "d_mlp": 8},
    "norm_both": {"norm": "rms_plus_one", "norm_position": "both", "d_mlp": 8},
    "norm_stream": {"norm_position": "stream", "d_mlp": 8},
    "norm_stream_attention_only": {"norm": "rms", "norm_position": "stream"},
    "parallel": {"parallel": True, "d_mlp": 16},
    "no_biases": {"attention_bias": False, "mlp_bias": False, "d_mlp": 8},
    "unembed_bias": {"unembed_bias": True},
    "gqa": {**GQA, "positions": "rotary"},
    "mqa": {"n_heads": 4, "n_kv_heads": 1, "d_head": 6},
    "wide_heads": {"d_head": 10},
    "bidirectional": {"causal": False},
    "window": {"window": 3},
    "window_per_layer": {"window": (2, None)},
    "window_bidirectional": {"window": 3, "causal": False},
    "relu": {"d_mlp": 8, "activation": "relu"},
    "gelu_tanh": {"d_mlp": 8, "activation": "gelu_tanh"},
    "silu_gated": {"d_mlp": 8, "activation": "silu", "gated": True},
    "tied": {"tied": True, "embedding_scale": 12**0.5},
    "soft_caps": {"attention_softcap": 2.0, "logit_softcap": 3.0},
    "scaled_scores": {"attention_scale": 0.7, "scale_by_inverse_layer": True},
    "pico_like": {
        **GQA,
        "d_mlp": 16,
        "activation": "silu",
        "gated": True,
        "attention_bias": False,
        "mlp_bias": False,
        "norm": "rms",
        "norm_eps": 1e-6,
        "positions": "rotary",
        "rotary_pairing": "interleaved",
    },
    "gemma2_like": {
        **GQA,
        "d_mlp": 16,
        "activation": "gelu_tanh",
        "gated": True,
        "attention_bias": False,
        "mlp_bias": False,
        "norm": "rms_plus_one",
        "norm_position": "both",
        "positions": "rotary",
        "window": (3, None),
        "attention_softcap": 5.0,
        "logit_softcap": 4.0,
        "embedding_scale": 12**0.5,
        "tied": True,
    },
}


def toy(name: str) -> TransformerConfig:
    return TransformerConfig(**(BASE | TOYS[name]))
