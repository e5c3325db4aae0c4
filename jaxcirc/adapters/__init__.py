"""Low-rank adapters: small changes of matrices, trained by themselves.

An adapter is a pytree of factors; `merge` makes the adapted model, which is an ordinary
`Transformer`, and `training.Training(lora=...)` trains one.
"""

from ._adapter import Adapter as Adapter, merge as merge
from ._files import load_adapter as load_adapter, save_adapter as save_adapter
from ._lora import LoRA as LoRA, lora as lora
from ._low_rank import LowRank as LowRank, matrix_shape as matrix_shape
