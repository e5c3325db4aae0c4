"""GPT-2 (Radford et al. 2019): learned positions, LayerNorm first, tanh GELU, tied."""

from ._config import TransformerConfig
from ._family import ModelSpec


def gpt2(
    d_vocab: int,
    n_ctx: int,
    *,
    n_layers: int = 4,
    d_model: int = 128,
    n_heads: int = 4,
    d_mlp: int | None = None,
    tied: bool = True,
) -> TransformerConfig:
    """A GPT-2 of any size; `d_mlp` is four times `d_model` unless given."""
    return TransformerConfig(
        d_vocab=d_vocab,
        n_ctx=n_ctx,
        n_layers=n_layers,
        d_model=d_model,
        n_heads=n_heads,
        d_mlp=4 * d_model if d_mlp is None else d_mlp,
        activation="gelu_tanh",
        tied=tied,
        init_std=0.02 if d_model >= 512 else 0.0,
    )


SPEC = ModelSpec(
    name="gpt2",
    summary="learned positions, LayerNorm before each sub-layer, GELU MLP, tied",
    build=gpt2,
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 2},
)
