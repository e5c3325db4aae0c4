"""The one-layer ReLU transformer of the grokking literature (Nanda et al. 2023)."""

from ._config import TransformerConfig
from ._family import ModelSpec


def grokking(
    d_vocab: int,
    n_ctx: int,
    *,
    n_layers: int = 1,
    d_model: int = 128,
    n_heads: int = 4,
    d_mlp: int = 512,
) -> TransformerConfig:
    """ReLU MLP, learned positions, no norms, no biases in attention."""
    return TransformerConfig(
        d_vocab=d_vocab,
        n_ctx=n_ctx,
        n_layers=n_layers,
        d_model=d_model,
        n_heads=n_heads,
        d_mlp=d_mlp,
        activation="relu",
        norm="none",
        attention_bias=False,
        init_std=d_model**-0.5,
    )


SPEC = ModelSpec(
    name="grokking",
    summary="one layer, ReLU, no norms: the model of the grokking literature",
    build=grokking,
    tiny={"d_model": 16, "n_heads": 2, "d_mlp": 32},
)
