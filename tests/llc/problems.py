"""Losses with known answers."""

import jax.numpy as jnp
import numpy as np

ONE = jnp.zeros(1)  # a dummy example, for a loss that needs none


def quadratic(w, example):
    """½ Σ h w², with the curvatures in the tree and never sampled."""
    return (w["h"] * w["w"] ** 2).sum() / 2 + 0 * example


W_ONLY = {"w": True, "h": False}


def spectra(n: int, d: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.exp(rng.uniform(np.log(1e-3), 0, (n, d)))


def at_zero(h: np.ndarray) -> dict:
    h = jnp.asarray(h, jnp.float32)
    return {"w": jnp.zeros_like(h), "h": h}


def regression(n: int = 200, d: int = 3, noise: float = 1.0, seed: int = 0):
    """Linear regression at its least-squares weights: loss, w*, data, curvatures."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = x @ np.arange(1, d + 1) + noise * rng.normal(size=n)
    w = np.linalg.lstsq(x, y, rcond=None)[0]
    data = (jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))
    h = np.linalg.eigvalsh(x.T @ x / n)

    def loss(w, batch):
        x, y = batch
        return (x @ w - y) ** 2 / 2

    return loss, jnp.asarray(w, jnp.float32), data, h
