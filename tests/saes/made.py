"""Dictionaries made by hand."""

import jax.numpy as jnp
import numpy as np

from jaxcirc import saes


def dictionary(directions, bias=-0.3) -> saes.Dictionary:
    """A plain dictionary that reads and writes these directions."""
    rows = jnp.asarray(directions, jnp.float32)
    n, d = rows.shape
    b_enc = jnp.full(n, bias, jnp.float32)
    return saes.Dictionary(rows.T, b_enc, rows, jnp.zeros(d), None, saes.Relu())


def unit(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Random directions of length 1."""
    x = rng.normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)
