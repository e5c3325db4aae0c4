"""Compiled programs as plain PyTorch modules, with our names for their weights."""

from typing import Any

import jax
import numpy as np

from jaxcirc.models import Transformer, TransformerConfig


def unlike_programs(c: TransformerConfig) -> list[str]:
    """Options in which a config differs from those that the module has code for."""
    unlike = {
        "norm": c.norm != "none",
        "positions": c.positions != "learned",
        "n_kv_heads": c.sizes.n_kv_heads != c.n_heads,
        "window": c.window is not None,
        "attention_softcap": c.attention_softcap is not None,
        "logit_softcap": c.logit_softcap is not None,
        "scale_by_inverse_layer": c.scale_by_inverse_layer,
        "gated": c.gated,
        "activation": bool(c.sizes.d_mlp) and c.activation != "relu",
        "parallel": c.parallel,
        "tied": c.tied,
        "embedding_scale": c.sizes.embedding_scale != 1,
        "qk_norm": c.qk_norm != "none",
        "clip_qkv": c.clip_qkv is not None,
        "attention_bias": c.attention_bias == "qkv",
    }
    return [name for name, differs in unlike.items() if differs]


def program_module(torch: Any, model: Transformer) -> Any:
    """A `torch.nn.Module` that computes what a compiled program's model computes.

    Its parameters keep a leading layer axis and our paths (`blocks.attn.W_Q`), so its
    state dict is the model's weights. It takes ids of shape [..., pos].

    Args:
        torch: The module of PyTorch.
        model: A model that `unlike_programs` finds nothing in.
    """

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
                # A copy: training the module must not write into JAX's buffer.
                tensor = torch.from_numpy(np.array(leaf))
                home.register_parameter(path[-1].name, torch.nn.Parameter(tensor))

        def forward(self, ids: Any) -> Any:
            """Logits at every position."""
            n_pos = ids.shape[-1]
            x = self.W_E[ids] + self.W_pos[:n_pos]
            for layer in range(self.config.n_layers):
                x = x + self._attention(x, layer)
                if self.config.sizes.d_mlp:
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
            scores = c.sizes.attention_scale * (q @ k.transpose(-1, -2))
            if c.causal:
                visible = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
                # As the model does it: minus infinity would make NaN of a row without
                # places.
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

    return Program(model)
