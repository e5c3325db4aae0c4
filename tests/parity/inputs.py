"""What the other tools and the test are both given, drawn by NumPy from fixed seeds."""

import numpy as np

PERIOD, HEADS = 10, 4
SHAPES = {"W_Q": (16, 4), "W_K": (16, 4), "W_V": (16, 4), "W_O": (4, 16)}


def patterns():
    """Random causal attention of a few heads on [x] + r + r."""
    n = 2 * PERIOD + 1
    scores = np.random.default_rng(0).normal(size=(HEADS, n, n))
    weights = np.tril(np.exp(2 * scores))
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)


def weights():
    """Two layers of heads, an embedding and an unembedding."""
    rng = np.random.default_rng(1)
    made = {
        k: rng.normal(size=(2, HEADS, *s)).astype(np.float32) for k, s in SHAPES.items()
    }
    made["W_E"] = rng.normal(size=(30, 16)).astype(np.float32)
    made["W_U"] = rng.normal(size=(16, 30)).astype(np.float32)
    return made


def samples():
    """A tail, a tail with a body, and a spectrum without either."""
    rng = np.random.default_rng(2)
    tail = 1 + rng.pareto(1.8, 600)
    body = rng.uniform(0.2, 1, 300)
    spectrum = np.linalg.svd(np.random.default_rng(4).normal(size=(120, 200)))[1]
    return {
        "pareto": 1 + np.random.default_rng(3).pareto(2.0, 400),
        "body_and_tail": np.r_[tail, body],
        "spectrum": spectrum**2,
    }
