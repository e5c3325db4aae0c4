"""GPT-NeoX and Pythia (Biderman et al. 2023): partly rotary, attention beside MLP."""

from ._family import Family, ModelSpec

SPEC = ModelSpec(
    name="gpt_neox",
    summary="partly rotary positions, LayerNorm, attention and MLP side by side",
    build=Family(
        "gpt_neox",
        parts={"positions": "rotary", "norm": "layer"},
        defaults={
            "n_layers": 4,
            "d_model": 128,
            "d_mlp": None,
            "rotary_fraction": 0.25,
            # Some published models of the family are sequential.
            "parallel": True,
        },
    ),
    tiny={"n_layers": 2, "d_model": 32, "n_heads": 4},
)
