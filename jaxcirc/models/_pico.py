"""The decoder of pico-train: a Llama that rotates neighbouring dimensions."""

from ._family import ModelSpec
from ._llama import LLAMA

SPEC = ModelSpec(
    name="pico",
    summary="a Llama that rotates neighbouring dimensions, as pico-train has it",
    build=LLAMA.but("pico", parts={"rotary_pairing": "interleaved"}),
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2},
)
