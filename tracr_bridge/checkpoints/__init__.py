"""Other people's weights: files, folders, the hub and live modules, both ways."""

from ._hub import revisions as revisions
from ._load import (
    from_tensors as from_tensors,
    from_transformer_lens as from_transformer_lens,
    load as load,
    load_llama2c as load_llama2c,
    save as save,
)
from ._parity import (
    Difference as Difference,
    Parity as Parity,
    check_parity as check_parity,
)
from ._peft import load_adapter as load_adapter, save_adapter as save_adapter
from ._pico_run import PicoDynamics as PicoDynamics, pico_dynamics as pico_dynamics
from ._tensor_files import open_tensors as open_tensors
from ._torch_modules import from_torch as from_torch, to_torch as to_torch
from ._trajectories import trajectory as trajectory
from .families import (
    FAMILIES as FAMILIES,
    Family as Family,
    Rule as Rule,
    UnsupportedOption as UnsupportedOption,
    rule as rule,
)
