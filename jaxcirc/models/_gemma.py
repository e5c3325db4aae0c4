"""Gemma (Gemma team 2024): scaled tied embeddings, RMSNorm of 1 + w, gated GELU."""

from ._family import ModelSpec
from ._llama import LLAMA

GEMMA = LLAMA.but(
    "gemma",
    parts={
        "activation": "gelu_tanh",
        "norm": "rms_plus_one",
        # None is the square root of `d_model`.
        "embedding_scale": None,
        "tied": True,
    },
)
SPEC = ModelSpec(
    name="gemma",
    summary="a Llama with scaled tied embeddings, RMSNorm of 1 + w and a gated GELU",
    build=GEMMA,
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 1},
)
