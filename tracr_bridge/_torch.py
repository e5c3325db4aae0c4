"""Models as plain PyTorch modules, and back, bit for bit."""

import importlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from jaxcirc.checkpoints import CheckpointError
from jaxcirc.models import Transformer, TransformerConfig


def to_torch(model: Transformer) -> Any:
    """A `torch.nn.Module` that computes the same function, with the same names.

    Its parameters keep a leading layer axis and our paths (`blocks.attn.W_Q`), so its
    state dict is the model's weights. It takes ids of shape [..., pos].

    Args:
        model: Without norms, with learned positions, as compiled programs are.

    Raises:
        ImportError: PyTorch is not installed.
        ValueError: the model has parts that the module would need code for.
    """
    torch = _torch()
    _check(model.config)
    return _module_class(torch)(model)


def from_torch(source: Any, config: TransformerConfig | None = None) -> Transformer:
    """The model of such a module, or of its state dict.

    Args:
        source: What `to_torch` gave, perhaps trained since, or its state dict.
        config: Of the model; needed with a state dict.

    Raises:
        ValueError: a state dict without config.
        CheckpointError: a tensor is missing, unknown, or of another shape.
    """
    if not isinstance(source, Mapping):
        config, source = source.config, source.state_dict()
    if config is None:
        raise ValueError("from_torch: a state dict needs its model's `config`.")
    like = Transformer(config, key=jr.key(0))
    leaves, treedef = jax.tree_util.tree_flatten_with_path(like)
    names = [".".join(entry.name for entry in path) for path, _ in leaves]
    missing, unknown = set(names) - set(source), set(source) - set(names)
    if missing or unknown:
        raise CheckpointError(
            f"from_torch: missing tensors {sorted(missing)}, unknown {sorted(unknown)}."
        )
    found = []
    for name, (_, leaf) in zip(names, leaves, strict=True):
        array = np.asarray(source[name].detach().cpu().numpy())
        if array.shape != leaf.shape:
            raise CheckpointError(
                f"from_torch: {name} has shape {array.shape}; the config needs "
                f"{leaf.shape}."
            )
        found.append(jnp.asarray(array))
    return jax.tree.unflatten(treedef, found)


def _torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise ImportError(
            "to_torch needs PyTorch: pip install torch==2.13.0 (for a CPU alone, from "
            "PyTorch's own index)."
        ) from error


def _check(c: TransformerConfig) -> None:
    unlike = {
        "norm": c.norm != "none",
        "positions": c.positions != "learned",
        "n_kv_heads": c.n_kv_heads != c.n_heads,
        "window": c.window is not None,
        "attention_softcap": c.attention_softcap is not None,
        "logit_softcap": c.logit_softcap is not None,
        "scale_by_inverse_layer": c.scale_by_inverse_layer,
        "gated": c.gated,
        "activation": bool(c.d_mlp) and c.activation != "relu",
        "parallel": c.parallel,
        "tied": c.tied,
        "embedding_scale": c.embedding_scale != 1,
    }
    wrong = [name for name, differs in unlike.items() if differs]
    if wrong:
        raise ValueError(
            "to_torch: takes models built like compiled programs; this one differs in "
            f"{', '.join(wrong)}."
        )


def _module_class(torch: Any) -> Any:
    """The class, made when torch is there."""

    class Program(torch.nn.Module):
        """Embed, then attention and MLP of each layer, then unembed."""

        def __init__(self, model: Transformer):
            super().__init__()
            self.config = model.config
            leaves, _ = jax.tree_util.tree_flatten_with_path(model)
            for path, leaf in leaves:
                home = self
                for entry in path[:-1]:
                    if not hasattr(home, entry.name):
                        home.add_module(entry.name, torch.nn.Module())
                    home = getattr(home, entry.name)
                tensor = torch.from_numpy(np.array(leaf))
                home.register_parameter(path[-1].name, torch.nn.Parameter(tensor))

        def forward(self, ids: Any) -> Any:
            """Logits at every position."""
            n_pos = ids.shape[-1]
            x = self.W_E[ids] + self.W_pos[:n_pos]
            for layer in range(self.config.n_layers):
                x = x + self._attention(x, layer)
                if self.config.d_mlp:
                    x = x + self._mlp(x, layer)
            logits = x @ self.W_U
            return logits if self.config.unembed_bias is False else logits + self.b_U

        def _attention(self, x: Any, layer: int) -> Any:
            c, attn = self.config, self.blocks.attn

            def project(name: str) -> Any:
                y = torch.einsum(
                    "...pm,mhd->...hpd", x, getattr(attn, f"W_{name}")[layer]
                )
                if not c.attention_bias:
                    return y
                return y + getattr(attn, f"b_{name}")[layer][:, None]

            q, k, v = (project(name) for name in "QKV")
            scores = c.attention_scale * (q @ k.transpose(-1, -2))
            if c.causal:
                visible = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
                lowest = torch.finfo(scores.dtype).min
                scores = scores.masked_fill(~visible.to(scores.device), lowest)
            z = scores.softmax(dim=-1) @ v
            out = torch.einsum("...hpd,hdm->...pm", z, attn.W_O[layer])
            return out + attn.b_O[layer] if c.attention_bias else out

        def _mlp(self, x: Any, layer: int) -> Any:
            mlp, bias = self.blocks.mlp, self.config.mlp_bias
            hidden = x @ mlp.W_in[layer]
            hidden = torch.relu(hidden + mlp.b_in[layer] if bias else hidden)
            out = hidden @ mlp.W_out[layer]
            return out + mlp.b_out[layer] if bias else out

    return Program
