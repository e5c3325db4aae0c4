"""Frozen numbers of other tools, for `test_metrics.py`.

    pip install torch==2.13.0 && pip install transformer-lens==3.9.0 powerlaw
    python tests/parity/make_metrics.py > tests/parity/metrics.json

Inputs are drawn by NumPy from fixed seeds, here and in the test.
"""

import importlib.metadata
import json

import numpy as np
import powerlaw
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformer_lens.head_detector import (
    compute_head_attention_similarity_score,
    get_duplicate_token_head_detection_pattern,
    get_induction_head_detection_pattern,
    get_previous_token_head_detection_pattern,
)

PERIOD, HEADS = 10, 4
SHAPES = {"W_Q": (16, 4), "W_K": (16, 4), "W_V": (16, 4), "W_O": (4, 16)}


def patterns():
    """Random causal attention of a few heads on [x] + r + r."""
    n = 2 * PERIOD + 1
    scores = np.random.default_rng(0).normal(size=(HEADS, n, n))
    weights = np.tril(np.exp(2 * scores))
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)


def head_scores():
    tokens = np.r_[99, np.arange(PERIOD), np.arange(PERIOD)][None]
    detectors = {
        "previous_token": get_previous_token_head_detection_pattern,
        "duplicate_token": get_duplicate_token_head_detection_pattern,
        "induction": get_induction_head_detection_pattern,
    }
    return {
        name: [
            float(
                compute_head_attention_similarity_score(
                    torch.from_numpy(pattern).clone(),
                    detect(torch.from_numpy(tokens)),
                    exclude_bos=False,
                    exclude_current_token=False,
                    error_measure="mul",
                )
            )
            for pattern in patterns()
        ]
        for name, detect in detectors.items()
    }


def weights():
    rng = np.random.default_rng(1)
    made = {
        k: rng.normal(size=(2, HEADS, *s)).astype(np.float32) for k, s in SHAPES.items()
    }
    made["W_E"] = rng.normal(size=(30, 16)).astype(np.float32)
    made["W_U"] = rng.normal(size=(16, 30)).astype(np.float32)
    return made


def circuits():
    config = HookedTransformerConfig(
        n_layers=2,
        d_model=16,
        n_heads=HEADS,
        d_head=4,
        n_ctx=8,
        d_vocab=30,
        attn_only=True,
    )
    model = HookedTransformer(config)
    own = weights()
    state = model.state_dict()
    for layer in range(2):
        for name in SHAPES:
            state[f"blocks.{layer}.attn.{name}"] = torch.from_numpy(own[name][layer])
    state["embed.W_E"] = torch.from_numpy(own["W_E"])
    state["unembed.W_U"] = torch.from_numpy(own["W_U"])
    model.load_state_dict(state)
    found = {
        f"composition_{mode.lower()}": model.all_composition_scores(mode).tolist()
        for mode in "QKV"
    }
    full = model.W_E @ model.OV @ model.W_U
    eigenvalues = full.eigenvalues
    found["copying"] = (eigenvalues.sum(-1).real / eigenvalues.abs().sum(-1)).tolist()
    full = model.W_E @ model.QK @ model.W_E.T
    eigenvalues = full.eigenvalues
    found["matching"] = (eigenvalues.sum(-1).real / eigenvalues.abs().sum(-1)).tolist()
    return found


def samples():
    rng = np.random.default_rng(2)
    tail = 1 + rng.pareto(1.8, 600)
    body = rng.uniform(0.2, 1, 300)
    return {
        "pareto": 1 + np.random.default_rng(3).pareto(2.0, 400),
        "body_and_tail": np.r_[tail, body],
        "spectrum": np.linalg.svd(np.random.default_rng(4).normal(size=(120, 200)))[1]
        ** 2,
    }


def tails():
    found = {}
    for name, sample in samples().items():
        fit = powerlaw.Fit(sample, verbose=False)
        found[name] = {
            "alpha": float(fit.power_law.alpha),
            "smallest": float(fit.power_law.xmin),
            "ks": float(fit.power_law.D),
        }
    return found


if __name__ == "__main__":
    packages = ("torch", "transformer-lens", "powerlaw", "numpy")
    versions = {name: importlib.metadata.version(name) for name in packages}
    made = {
        "versions": versions,
        "heads": head_scores(),
        "circuits": circuits(),
        "tails": tails(),
    }
    print(json.dumps(made, separators=(",", ":")))
