"""Forward and capture speed beside TransformerLens, on the same weights.

    pip install torch==2.13.0 && pip install -r benchmarks/requirements.txt
    python benchmarks/capture.py

Four layers, width 256, eight heads, GELU MLP of 1,024, 64 tokens, batch 16, vocabulary
5,000. Both sides compute every logit; with capture, both return the same activations.
"""

import os

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import torch
from _harness import interleave, report, spread
from transformer_lens import HookedTransformer, HookedTransformerConfig

from jaxcirc.models import Transformer, TransformerConfig, capture, sites

CONFIG = TransformerConfig(
    d_vocab=5000,
    n_ctx=64,
    n_layers=4,
    d_model=256,
    n_heads=8,
    d_mlp=1024,
    activation="gelu",
    unembed_bias=True,
)
BATCH = 16


def make_peer(model: Transformer) -> HookedTransformer:
    config = HookedTransformerConfig(
        n_layers=4,
        d_model=256,
        n_heads=8,
        d_head=32,
        d_mlp=1024,
        n_ctx=64,
        d_vocab=5000,
        act_fn="gelu",
        normalization_type="LN",
    )
    peer = HookedTransformer(config)
    attn, mlp = model.blocks.attn, model.blocks.mlp
    assert mlp is not None
    assert model.blocks.ln1 is not None
    assert model.blocks.ln2 is not None
    assert model.ln_final is not None
    stacked = {
        # Ours map input axes to output axes; theirs put the head first.
        "attn.W_Q": attn.W_Q.swapaxes(1, 2),
        "attn.W_K": attn.W_K.swapaxes(1, 2),
        "attn.W_V": attn.W_V.swapaxes(1, 2),
        "attn.W_O": attn.W_O,
        "attn.b_Q": attn.b_Q,
        "attn.b_K": attn.b_K,
        "attn.b_V": attn.b_V,
        "attn.b_O": attn.b_O,
        "mlp.W_in": mlp.W_in,
        "mlp.W_out": mlp.W_out,
        "mlp.b_in": mlp.b_in,
        "mlp.b_out": mlp.b_out,
        "ln1.w": model.blocks.ln1.weight,
        "ln1.b": model.blocks.ln1.bias,
        "ln2.w": model.blocks.ln2.weight,
        "ln2.b": model.blocks.ln2.bias,
    }
    weights = {
        "embed.W_E": model.W_E,
        "pos_embed.W_pos": model.W_pos,
        "ln_final.w": model.ln_final.weight,
        "ln_final.b": model.ln_final.bias,
        "unembed.W_U": model.W_U,
        "unembed.b_U": model.b_U,
    }
    for name, leaf in stacked.items():
        for layer in range(4):
            weights[f"blocks.{layer}.{name}"] = leaf[layer]
    state = {k: torch.tensor(np.asarray(v).copy()) for k, v in weights.items()}
    peer.load_state_dict(state, strict=False)
    return peer.eval()


def main():
    model = Transformer(CONFIG, key=jr.key(0))
    peer = make_peer(model)
    tokens = jr.randint(jr.key(1), (BATCH, 64), 0, 5000)
    torch_tokens = torch.tensor(np.asarray(tokens)).long()

    # What run_with_cache returns without options, less what only one side has.
    _, cache = peer.run_with_cache(torch_tokens)
    ours = {row.transformer_lens: name for name, row in sites(model).items()}
    inner = {name.split(".", 2)[2] for name in cache if name.startswith("blocks.")}
    asked = tuple(
        name
        for hook, name in ours.items()
        if hook in inner or (hook in cache and not name.startswith("logits"))
    )
    forward = eqx.filter_jit(lambda m, t: m(t))
    captured = eqx.filter_jit(lambda m, t: capture(m, t, asked))

    logits, acts = captured(model, tokens)
    with torch.no_grad():
        peer_logits = peer(torch_tokens).numpy()
    worst = {"logits": float(np.abs(peer_logits - logits).max())}
    for hook, name in ours.items():
        for layer in range(4):
            theirs = f"blocks.{layer}.{hook}"
            if theirs in cache and name in acts and name != "attn.scores":
                got = np.asarray(acts[name][layer])
                error = np.abs(cache[theirs].numpy() - got).max()
                worst[name] = max(worst.get(name, 0.0), float(error))
    report(
        "capture/parity",
        max_difference=max(worst.values()),
        where=max(worst, key=worst.__getitem__),
        sites=len(asked),
    )
    assert max(worst.values()) < 1e-3

    def run_peer():
        with torch.no_grad():
            peer(torch_tokens)

    def run_peer_cache():
        with torch.no_grad():
            peer.run_with_cache(torch_tokens)

    seconds = interleave(
        {
            "transformer_lens_forward": run_peer,
            "jaxcirc_forward": lambda: jax.block_until_ready(forward(model, tokens)),
            "transformer_lens_capture": run_peer_cache,
            "jaxcirc_capture": lambda: jax.block_until_ready(captured(model, tokens)),
        },
        repeats=15,
    )
    median = {name: spread(s)["median_s"] for name, s in seconds.items()}
    for name, s in seconds.items():
        report(f"capture/{name}", **spread(s))
    report(
        "capture/ratios",
        forward=round(
            median["transformer_lens_forward"] / median["jaxcirc_forward"], 2
        ),
        capture=round(
            median["transformer_lens_capture"] / median["jaxcirc_capture"], 2
        ),
        captured_mb=round(sum(x.nbytes for x in acts.values()) / 1e6, 1),
        peer_cached_mb=round(
            sum(x.numel() * x.element_size() for x in cache.values()) / 1e6, 1
        ),
    )
    assert jnp.isfinite(logits).all()


if __name__ == "__main__":
    main()
