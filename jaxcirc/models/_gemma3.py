"""Gemma 3 (Gemma team 2025): five local layers to one global, two rotary bases."""

from ._config import TransformerConfig
from ._family import ModelSpec
from ._gemma import GEMMA


def _by_layer(value, everywhere, config: TransformerConfig) -> tuple:
    """A single value is that of local layers; every sixth layer sees everything."""
    if isinstance(value, tuple):
        return value
    layers = range(config.n_layers)
    return tuple(value if i % 6 < 5 else everywhere for i in layers)


SPEC = ModelSpec(
    name="gemma3",
    summary="a Gemma with normalised queries and keys, five layers in six local",
    build=GEMMA.but(
        "gemma3",
        parts={"qk_norm": "head", "norm_position": "both"},
        defaults={"window": 512},
        rules={
            "window": lambda c: _by_layer(c.window, None, c),
            # Layers that see everything have longer wavelengths than windowed ones.
            "rotary_base": lambda c: _by_layer(c.rotary_base, 1e6, c),
        },
    ),
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2, "window": 4},
)
