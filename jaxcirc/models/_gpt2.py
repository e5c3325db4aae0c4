"""GPT-2 (Radford et al. 2019): learned positions, LayerNorm first, tanh GELU, tied."""

from ._config import TransformerConfig
from ._family import Family, ModelSpec


def _init_std(config: TransformerConfig) -> float | None:
    # What GPT-2 was trained from; for a narrow model it would be next to nothing.
    published = 0.02 if config.d_model >= 512 else None
    return published if config.init_std is None else config.init_std


SPEC = ModelSpec(
    name="gpt2",
    summary="learned positions, LayerNorm before each sub-layer, GELU MLP, tied",
    build=Family(
        "gpt2",
        parts={"positions": "learned", "norm": "layer", "activation": "gelu_tanh"},
        defaults={"n_layers": 4, "d_model": 128, "d_mlp": None, "tied": True},
        rules={"init_std": _init_std},
    ),
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 2},
)
