"""The decoder of pico-train: a Llama that rotates neighbouring dimensions."""

from ._config import TransformerConfig
from ._family import ModelSpec


def pico(
    d_vocab: int,
    n_ctx: int,
    *,
    n_layers: int = 4,
    d_model: int = 128,
    n_heads: int = 4,
    n_kv_heads: int = 0,
    d_mlp: int | None = None,
) -> TransformerConfig:
    """A Pico of any size; `d_mlp` is four times `d_model` unless given."""
    return TransformerConfig(
        d_vocab=d_vocab,
        n_ctx=n_ctx,
        n_layers=n_layers,
        d_model=d_model,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        d_mlp=4 * d_model if d_mlp is None else d_mlp,
        activation="silu",
        gated=True,
        attention_bias=False,
        mlp_bias=False,
        norm="rms",
        norm_eps=1e-6,
        positions="rotary",
        rotary_pairing="interleaved",
    )


SPEC = ModelSpec(
    name="pico",
    summary="a Llama that rotates neighbouring dimensions, as pico-train has it",
    build=pico,
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2},
)
