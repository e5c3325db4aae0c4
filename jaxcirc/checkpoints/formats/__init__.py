"""Files of weights as named tensors; none of them can run code."""

from ._arrays import aligned_empty as aligned_empty, copy_blocked as copy_blocked
from ._json import parse_json as parse_json
from ._llama2c import Llama2cHeader as Llama2cHeader, open_llama2c as open_llama2c
from ._npz import open_npz as open_npz
from ._safetensors import open_safetensors as open_safetensors
from ._tensors import (
    Entry as Entry,
    Tensors as Tensors,
    in_memory as in_memory,
    ordinary as ordinary,
    reading as reading,
)
from ._torch import open_torch as open_torch
