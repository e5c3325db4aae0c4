"""Gemma 2 (Gemma team 2024): norms around sub-layers, every other layer in a window."""

from ._config import TransformerConfig
from ._family import ModelSpec
from ._gemma import GEMMA


def _windows(config: TransformerConfig) -> tuple[int | None, ...]:
    """A single `window` is that of the even layers."""
    reach = config.window
    if isinstance(reach, tuple):
        return reach
    return tuple(None if i % 2 else reach for i in range(config.n_layers))


SPEC = ModelSpec(
    name="gemma2",
    summary="a Gemma with norms on both sides, soft caps and every other layer local",
    build=GEMMA.but(
        "gemma2",
        parts={"norm_position": "both"},
        defaults={"window": 4096, "attention_softcap": 50.0, "logit_softcap": 30.0},
        rules={"window": _windows},
    ),
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2, "window": 4},
)
