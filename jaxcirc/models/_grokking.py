"""The one-layer ReLU transformer of the grokking literature (Nanda et al. 2023)."""

from ._config import TransformerConfig
from ._family import Family, ModelSpec


def _init_std(config: TransformerConfig) -> float:
    given = config.init_std
    return config.d_model**-0.5 if given is None else given


SPEC = ModelSpec(
    name="grokking",
    summary="one layer, ReLU, no norms: the model of the grokking literature",
    build=Family(
        "grokking",
        parts={"activation": "relu", "norm": "none", "attention_bias": False},
        defaults={"n_layers": 1, "d_model": 128, "d_mlp": 512},
        rules={"init_std": _init_std},
    ),
    tiny={"d_model": 16, "n_heads": 2, "d_mlp": 32},
)
