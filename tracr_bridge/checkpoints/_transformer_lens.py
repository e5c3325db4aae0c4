"""State dicts of TransformerLens' `HookedTransformer`, whose names ours follow."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxcirc.checkpoints.formats import Tensors, in_memory
from jaxcirc.models import Transformer, TransformerConfig

from ._hooked_config import read_cfg
from ._opened import Opened
from ._tensor_names import renamed, unwrapped
from ._weights import assemble, canonical
from .families import Rule, UnsupportedOption, rule

_ATTN, _MLP = "blocks.{layer}.attn", "blocks.{layer}.mlp"


def _norm(theirs: str, ours: str) -> tuple[Rule, Rule]:
    """The rules for the weight and the bias of a norm."""
    return (
        rule(f"{theirs}.w", f"{ours}.weight", "m -> m"),
        rule(f"{theirs}.b", f"{ours}.bias", "m -> m"),
    )


RULES = (
    rule("embed.W_E", "W_E", "v m -> v m"),
    rule("pos_embed.W_pos", "W_pos", "p m -> p m"),
    *_norm("blocks.{layer}.ln1", "ln1"),
    *(rule(f"{_ATTN}.W_{x}", f"attn.W_{x}", "h m d -> m h d") for x in "QKV"),
    *(rule(f"{_ATTN}.b_{x}", f"attn.b_{x}", "h d -> h d") for x in "QKV"),
    rule(f"{_ATTN}.W_O", "attn.W_O", "h d m -> h d m"),
    rule(f"{_ATTN}.b_O", "attn.b_O", "m -> m"),
    *_norm("blocks.{layer}.ln1_post", "ln1_post"),
    *_norm("blocks.{layer}.ln2", "ln2"),
    rule(f"{_MLP}.W_in", "mlp.W_in", "m f -> m f"),
    rule(f"{_MLP}.W_gate", "mlp.W_gate", "m f -> m f"),
    rule(f"{_MLP}.W_out", "mlp.W_out", "f m -> f m"),
    rule(f"{_MLP}.b_in", "mlp.b_in", "f -> f"),
    rule(f"{_MLP}.b_out", "mlp.b_out", "m -> m"),
    *_norm("blocks.{layer}.ln2_post", "ln2_post"),
    *_norm("ln_final", "ln_final"),
    rule("unembed.W_U", "W_U", "m v -> m v"),
    rule("unembed.b_U", "b_U", "v -> v"),
)
_BUFFERS = (
    r"attn\.(mask|IGNORE|rotary_sin|rotary_cos|_?b_[KV]_?zeros)$",
    r"hook_",
)


def open_hooked(
    tensors: Tensors,
    cfg: Mapping[str, Any] | None = None,
    *,
    ignore: Sequence[str] = (),
    dtype: str | None = "float32",
    **options: Any,
) -> Opened:
    """The model of a `HookedTransformer`'s tensors.

    Sizes, biases and what else has weights are read off the tensors themselves. What
    leaves none behind has to be said: whether norms were folded, how positions turn,
    the activation.

    Args:
        tensors: What `open_tensors` gave.
        cfg: The `HookedTransformerConfig` as a mapping (`model.cfg.to_dict()`), for
            what tensors do not show: the activation, norms without weights, scales,
            rotary positions.
        ignore: Patterns of tensors to leave out.
        dtype: The type of the weights; None keeps the file's.
        options: Fields of `TransformerConfig`, which go before both.

    Raises:
        CheckpointError: a tensor is missing, unknown or of another shape.
        UnsupportedOption: `cfg` asks for what the model cannot do.
        ValueError: nothing says the norm, the positions or the activation.
    """
    tensors = _plain(tensors)
    config = read_cfg(tensors, cfg or {}, options)

    def read() -> Transformer:
        buffers = (*_BUFFERS, *ignore)
        found = canonical(tensors, RULES, config.n_layers, buffers=buffers)
        found = _with_unit_weights(found, config)
        if config.gated and "blocks.0.mlp.b_in" in found:
            _check_gated_bias(found, config)
        return assemble(config, RULES, found, dtype=dtype)

    return Opened(config, read)


def _plain(tensors: Tensors) -> Tensors:
    """The tensors by the rules' names.

    Grouped-query attention keeps its own as `_W_K` and `_b_K`.
    """
    tensors = renamed(tensors, {r"\._(?=[Wb]_[KV]$)": "."})
    return unwrapped(tensors, RULES)


def _with_unit_weights(tensors: Tensors, config: TransformerConfig) -> Tensors:
    """Folded RMSNorms have no weight there; ours is then one."""
    if config.norm != "rms":
        return tensors
    names = [f"blocks.{i}.ln1.w" for i in range(config.n_layers)] + ["ln_final.w"]
    if config.sizes.d_mlp:
        names += [f"blocks.{i}.ln2.w" for i in range(config.n_layers)]
    ones = {n: np.ones(config.d_model, np.float32) for n in names if n not in tensors}
    return tensors.joined(in_memory(tensors.name, ones))


def _check_gated_bias(tensors: Tensors, config: TransformerConfig) -> None:
    """Refuse gated MLPs with a bias that is added elsewhere than here.

    Raises:
        UnsupportedOption: a bias is not zero.
    """
    # There it is added after the gate has multiplied, here before.
    if any(tensors[f"blocks.{i}.mlp.b_in"].any() for i in range(config.n_layers)):
        raise UnsupportedOption(
            f"{tensors.name}: its gated MLPs have a bias `b_in` that is not zero, "
            "which the model adds at another place."
        )
