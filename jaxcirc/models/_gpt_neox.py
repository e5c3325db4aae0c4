"""GPT-NeoX and Pythia (Biderman et al. 2023): partly rotary, attention beside MLP."""

from ._config import TransformerConfig
from ._family import ModelSpec


def gpt_neox(
    d_vocab: int,
    n_ctx: int,
    *,
    n_layers: int = 4,
    d_model: int = 128,
    n_heads: int = 4,
    d_mlp: int | None = None,
    rotary_fraction: float = 0.25,
    parallel: bool = True,
    tied: bool = False,
) -> TransformerConfig:
    """A Pythia of any size; `d_mlp` is four times `d_model` unless given."""
    return TransformerConfig(
        d_vocab=d_vocab,
        n_ctx=n_ctx,
        n_layers=n_layers,
        d_model=d_model,
        n_heads=n_heads,
        d_mlp=4 * d_model if d_mlp is None else d_mlp,
        positions="rotary",
        rotary_fraction=rotary_fraction,
        parallel=parallel,
        tied=tied,
    )


SPEC = ModelSpec(
    name="gpt_neox",
    summary="partly rotary positions, LayerNorm, attention and MLP side by side",
    build=gpt_neox,
    tiny={"n_layers": 2, "d_model": 32, "n_heads": 4},
)
