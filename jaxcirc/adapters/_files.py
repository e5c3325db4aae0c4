"""Adapters on disk: one safetensors file that says what it belongs to."""

import json

import jax

from ..checkpoints import load_arrays, recorded_entry, save_tensors
from ..models import TransformerConfig
from ._adapter import Adapter, check_fits
from ._low_rank import LowRank

_ABOUT = "adapter"


def save_adapter(file: str, adapter: Adapter) -> None:
    """Write an adapter to one safetensors file, atomically.

    Tensors are called `WEIGHT.A` and `WEIGHT.B`, and the header has the scale of each
    and the config of the model, so that the file is read without the model at hand.

    Args:
        file: Where to write.
        adapter: The adapter.

    Raises:
        OSError: the file cannot be written; what was there is untouched.
    """
    scales = {name: change.scale for name, change in adapter.changes.items()}
    about = {"model": adapter.config.to_dict(), "scales": scales}
    save_tensors(file, _named(adapter), {_ABOUT: json.dumps(about)})


def load_adapter(file: str) -> Adapter:
    """The adapter that `save_adapter` wrote.

    Args:
        file: The file.

    Returns:
        The adapter, with every tensor compared with its hash.

    Raises:
        CheckpointError: the file is missing, damaged, or holds no adapter.
        ValueError: the factors do not fit the model that the file says.

    Example:
        >>> import jax.random as jr, tempfile
        >>> from jaxcirc.adapters import load_adapter, lora, save_adapter
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(d_vocab=5, n_ctx=7, n_layers=1, d_model=8)
        >>> model = Transformer(config, key=jr.key(0))
        >>> file = tempfile.mkdtemp() + "/adapter.safetensors"
        >>> save_adapter(file, lora(model, rank=2, scale=4.0, key=jr.key(1)))
        >>> {name: c.scale for name, c in load_adapter(file).changes.items()}
        {'blocks.attn.W_Q': 4.0, 'blocks.attn.W_V': 4.0}
    """
    about = json.loads(recorded_entry(file, _ABOUT))
    arrays = load_arrays(file)
    changes = {
        name: LowRank(arrays[f"{name}.A"], arrays[f"{name}.B"], scale)
        for name, scale in about["scales"].items()
    }
    adapter = Adapter(changes, TransformerConfig.from_dict(about["model"]))
    check_fits(adapter, who=f"load_adapter: {file}")
    return adapter


def _named(adapter: Adapter) -> dict[str, jax.Array]:
    """Factors by their names on disk."""
    named = {}
    for name, change in adapter.changes.items():
        named |= {f"{name}.A": change.A, f"{name}.B": change.B}
    return named
