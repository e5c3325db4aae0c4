"""A small model in the shape of GPT-2 and pairs of prompts, from a formula."""

import numpy as np

LAYERS, HEADS, D_MODEL, D_HEAD, D_MLP, D_VOCAB, N_CTX = 2, 3, 12, 4, 20, 13, 6
EXAMPLES, EPS, STEPS = 8, 1e-5, 5
BLOCKS = {
    "attn.W_Q": (D_MODEL, HEADS, D_HEAD),
    "attn.W_K": (D_MODEL, HEADS, D_HEAD),
    "attn.W_V": (D_MODEL, HEADS, D_HEAD),
    "attn.W_O": (HEADS, D_HEAD, D_MODEL),
    "attn.b_Q": (HEADS, D_HEAD),
    "attn.b_K": (HEADS, D_HEAD),
    "attn.b_V": (HEADS, D_HEAD),
    "attn.b_O": (D_MODEL,),
    "mlp.W_in": (D_MODEL, D_MLP),
    "mlp.b_in": (D_MLP,),
    "mlp.W_out": (D_MLP, D_MODEL),
    "mlp.b_out": (D_MODEL,),
    "ln1.weight": (D_MODEL,),
    "ln1.bias": (D_MODEL,),
    "ln2.weight": (D_MODEL,),
    "ln2.bias": (D_MODEL,),
}
SHAPES = {
    "W_E": (D_VOCAB, D_MODEL),
    "W_pos": (N_CTX, D_MODEL),
    "W_U": (D_MODEL, D_VOCAB),
    "ln_final.weight": (D_MODEL,),
    "ln_final.bias": (D_MODEL,),
    **{f"blocks.{name}": (LAYERS, *shape) for name, shape in BLOCKS.items()},
}


def weights() -> dict[str, np.ndarray]:
    """Every weight by name, those of blocks with a layer axis in front.

    Fractional parts of multiples of the golden ratio: spread evenly, without a period,
    and the same on every machine.
    """
    made = {}
    for row, (name, shape) in enumerate(SHAPES.items()):
        size = int(np.prod(shape))
        place = np.arange(1, size + 1) * (row + 1) * (np.sqrt(5) - 1) / 2
        values = ((place % 1) - 0.5).reshape(shape)
        # Far from linear: queries and keys large enough for attention to choose.
        scale = {"attn.W_Q": 3, "attn.W_K": 3}.get(name.removeprefix("blocks."), 1.5)
        made[name] = scale * values + (1 if name.endswith(".weight") else 0)
    return made


def prompts() -> dict[str, np.ndarray]:
    """Clean and corrupted tokens, and the right and the wrong answer of each."""
    rng = np.random.default_rng(5)
    clean, corrupted = rng.integers(0, D_VOCAB, (2, EXAMPLES, N_CTX))
    right = rng.integers(0, D_VOCAB, EXAMPLES)
    return {
        "clean": clean,
        "corrupted": corrupted,
        "right": right,
        "wrong": (right + 1 + rng.integers(0, D_VOCAB - 1, EXAMPLES)) % D_VOCAB,
    }
