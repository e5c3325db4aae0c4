"""Llama (Touvron et al. 2023): rotary positions, RMSNorm, gated SiLU MLP, no biases."""

from ._family import Family, ModelSpec

# With a `window` it is a Mistral.
LLAMA = Family(
    "llama",
    parts={"positions": "rotary", "norm": "rms", "gated": True},
    defaults={
        "n_layers": 4,
        "d_model": 128,
        "d_mlp": None,
        "activation": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "norm_eps": 1e-6,
    },
)
SPEC = ModelSpec(
    name="llama",
    summary="rotary positions, RMSNorm, gated SiLU MLP, grouped-query attention",
    build=LLAMA,
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2},
)
