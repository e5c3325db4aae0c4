"""Weights and activations of the frozen losses: the same here and in the peers."""

import numpy as np

D_IN, D_SAE, BATCH = 6, 20, 32
DEAD = 7
K, L1, L0, TARGET = 3, 0.7, 0.4, 4.0
BANDWIDTH, THRESHOLD = 0.9, 0.3
WIDTHS = [5, 12, 20]
PARAMETERS = ("W_enc", "b_enc", "W_dec", "b_dec")


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    normal = lambda *shape: rng.normal(size=shape)
    return {
        "W_enc": normal(D_IN, D_SAE) / 2,
        "b_enc": normal(D_SAE) / 5,
        "W_dec": normal(D_SAE, D_IN) / 2,
        "b_dec": normal(D_IN) / 5,
        "threshold": np.abs(normal(D_SAE)) / 2,
        "b_gate": normal(D_SAE) / 5,
        "b_mag": normal(D_SAE) / 5,
        "r_mag": normal(D_SAE) / 5,
    }


def unit_decoder() -> np.ndarray:
    rows = weights()["W_dec"]
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def activations() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(BATCH, D_IN)) * 1.5


def dead() -> np.ndarray:
    return np.arange(D_SAE) < DEAD
