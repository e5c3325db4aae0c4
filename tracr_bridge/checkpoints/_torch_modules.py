"""Live PyTorch modules and state dicts, in both directions."""

import importlib
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.random as jr
import ml_dtypes
import numpy as np

from jaxcirc._core import named_leaves
from jaxcirc.checkpoints.formats import in_memory
from jaxcirc.models import Transformer, TransformerConfig

from ._plain_module import program_module, unlike_programs
from ._pretrained import express, family_of, from_family
from ._weights import assemble, disassemble
from .families import Rule


def from_torch(
    source: Any,
    config: Any = None,
    *,
    dtype: str | None = "float32",
) -> Transformer:
    """The model of a live module or of a state dict.

    The family is found as `load` finds it, and every tensor must find its place. A
    state dict may hold NumPy arrays, and then PyTorch is not needed. Weights are
    copied, so training the module afterwards does not change the model.

    Args:
        source: A module of transformers of one of our families, what `to_torch` gave,
            or the state dict of either.
        config: The model's config: ours, that of transformers or a parsed
            `config.json`; needed with a state dict.
        dtype: The type of the weights; None keeps the source's own.

    Returns:
        The model.

    Raises:
        ValueError: a state dict without config, or an unknown architecture.
        CheckpointError: a tensor is missing, unknown, or of another shape.
        UnsupportedOption: the config asks for what the model cannot do.

    Example:
        >>> import jax.random as jr, tempfile
        >>> from jaxcirc.models import MODELS, Transformer
        >>> from tracr_bridge import from_torch, open_tensors, save
        >>> gpt2 = next(row for row in MODELS if row.name == "gpt2")
        >>> config = gpt2.build(d_vocab=7, n_ctx=8, n_layers=1, d_model=8, n_heads=2)
        >>> model, folder = Transformer(config, key=jr.key(0)), tempfile.mkdtemp()
        >>> save(model, folder)
        >>> same = from_torch(dict(open_tensors(folder)), config)
        >>> bool((same.W_E == model.W_E).all())
        True
    """
    if not isinstance(source, Mapping):
        config = source.config if config is None else config
        source = source.state_dict()
    if config is None:
        raise ValueError("from_torch: a state dict needs its model's `config`.")
    tensors = in_memory("state dict", state_arrays(source))
    if not isinstance(config, TransformerConfig):
        raw = config if isinstance(config, Mapping) else config.to_dict()
        family = family_of(raw)
        return from_family(family, family.config(raw), tensors, dtype=dtype)
    own = _own_rules(config)
    # A plain module of `to_torch` keeps our names, and a family's never has them.
    if any(rule.theirs in tensors for rule in own):
        return assemble(config, own, tensors, dtype=dtype)
    family, _ = express(config)
    return from_family(family, config, tensors, dtype=dtype)


def to_torch(model: Transformer) -> Any:
    """A PyTorch module that computes the same function, ready to run and train.

    A model of one of our families becomes the class of transformers for it, with eager
    attention; one built like compiled programs becomes a plain `torch.nn.Module` whose
    parameters keep our names (`blocks.attn.W_Q`) and leading layer axis. Logits agree
    to about 1e-5 of their scale in float32, and `from_torch` gives the weights back as
    they were.

    Args:
        model: The model. Its weights are copied.

    Returns:
        A module in evaluation mode, on the CPU.

    Raises:
        ImportError: PyTorch or transformers is not installed.
        ValueError: neither has code for some part of the model.
    """
    torch = import_optional("torch", "to_torch")
    unlike = unlike_programs(model.config)
    if not unlike:
        return program_module(torch, model)
    try:
        family, raw = express(model.config)
    except ValueError as error:
        raise ValueError(
            f"to_torch: {error} It is not built like a compiled program either: it "
            f"differs in {', '.join(unlike)}."
        ) from None
    transformers = import_optional("transformers", "to_torch")
    options = {k: v for k, v in raw.items() if k not in ("model_type", "architectures")}
    try:
        config = transformers.AutoConfig.for_model(family.name, **options)
    except ValueError as error:
        raise ValueError(
            f"to_torch: this version of transformers has no {family.name!r}; write a "
            "folder with `save` instead."
        ) from error
    module = transformers.AutoModelForCausalLM.from_config(
        config, attn_implementation="eager"
    )
    # A live module may call tensors otherwise than its own files do.
    on_disk = {disk: live for live, disk in family.in_memory.items()}
    state = {
        on_disk.get(name, name): _from_numpy(torch, array)
        for name, array in disassemble(model, family.rules).items()
    }
    # Loading casts to the module's type, which would round float64 without a word.
    module = module.to(next(iter(state.values())).dtype)
    left = module.load_state_dict(state, strict=False)
    # A tied head is the embedding itself.
    tied = {"lm_head.weight"} if model.config.tied else set()
    lacking = sorted(set(left.missing_keys) - tied)
    if lacking or left.unexpected_keys:
        raise ValueError(
            f"to_torch: {family.architecture} of this version of transformers lacks "
            f"{left.unexpected_keys} and wants {lacking}."
        )
    return module.eval()


def _own_rules(config: TransformerConfig) -> list[Rule]:
    """Every weight under its own name, stacked as it is."""
    like = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))
    rules = []
    for name, leaf in named_leaves(like).items():
        axes = " ".join("abcd"[: len(leaf.shape)])
        rules.append(Rule(name, (name,), f"{axes} -> {axes}"))
    return rules


def import_optional(name: str, who: str) -> Any:
    """A library of the `torch` extra.

    Args:
        name: The library.
        who: The function that needs it, for the message.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{who} needs {name}: pip install 'jaxcirc[torch]' (for a CPU alone, "
            "install torch from PyTorch's own index first)."
        ) from error


def state_arrays(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The tensors and arrays of a state dict, on the host; the rest is left out."""
    return {
        name: _to_numpy(value)
        for name, value in state.items()
        if isinstance(value, np.ndarray) or hasattr(value, "detach")
    }


def _to_numpy(tensor: Any) -> np.ndarray:
    """The tensor on the host, shared where it is there already."""
    if isinstance(tensor, np.ndarray):
        return tensor
    tensor = tensor.detach().cpu().contiguous()
    if str(tensor.dtype) == "torch.bfloat16":
        integers = tensor.view(import_optional("torch", "from_torch").int16).numpy()
        return integers.view(ml_dtypes.bfloat16)
    return tensor.numpy()


def _from_numpy(torch: Any, array: np.ndarray) -> Any:
    """A tensor with a copy of the numbers, which NumPy's owner may not change."""
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())
