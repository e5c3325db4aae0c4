"""Weights as TransformerLens calls them, and what they hold."""

import numpy as np

import tracr_bridge as tb


def lens_rules():
    return tb.checkpoints._transformer_lens.RULES


def lens_weights(rng):
    shapes = {
        "embed.W_E": (7, 6),
        "pos_embed.W_pos": (5, 6),
        "blocks.0.ln1.w": (6,),
        "blocks.0.ln1.b": (6,),
        "blocks.0.attn.W_O": (2, 3, 6),
        "blocks.0.attn.b_O": (6,),
        "ln_final.w": (6,),
        "ln_final.b": (6,),
        "unembed.W_U": (6, 7),
        "unembed.b_U": (7,),
    }
    for name in "QKV":
        shapes[f"blocks.0.attn.W_{name}"] = (2, 6, 3)
        shapes[f"blocks.0.attn.b_{name}"] = (2, 3)
    return {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}
