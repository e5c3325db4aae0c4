"""Frozen numbers of other tools, for `test_metrics.py`.

    pip install torch==2.13.0 && pip install transformer-lens==3.9.0 powerlaw
    python tests/parity/make_metrics.py > tests/parity/metrics.json

Both take their inputs from `inputs.py`.
"""

import importlib.metadata
import json

import numpy as np
import powerlaw
import torch
from inputs import HEADS, PERIOD, SHAPES, patterns, samples, weights
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformer_lens.head_detector import (
    compute_head_attention_similarity_score,
    get_duplicate_token_head_detection_pattern,
    get_induction_head_detection_pattern,
    get_previous_token_head_detection_pattern,
)


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
