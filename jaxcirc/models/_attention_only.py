"""Attention-only transformers (Elhage et al. 2021)."""

from ._family import Family, ModelSpec

SPEC = ModelSpec(
    name="attention_only",
    summary="attention layers without MLPs; two are enough for induction heads",
    build=Family("attention_only", parts={"d_mlp": 0}),
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 2},
)
