"""Small models for expansions, in double precision, that compute something."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from jaxcirc.models import Transformer, TransformerConfig

BASE: dict[str, Any] = {
    "d_vocab": 7,
    "n_ctx": 5,
    "n_layers": 2,
    "d_model": 8,
    "n_heads": 2,
}
TOKENS = np.random.default_rng(0).integers(0, 7, (2, 5))


def ends(scale=0.3, spread=0.4, seed=0, **parts):
    """Two models of one config in float64, `scale` of the way to independent ones."""
    config = TransformerConfig(**(BASE | parts))
    model = Transformer(config, key=jr.key(0))
    draw = np.random.default_rng(seed)

    def drawn(x):
        if not eqx.is_inexact_array(x):
            return x
        return jnp.asarray(
            spread * draw.standard_normal(x.shape) + (np.asarray(x) == 1)
        )

    base, other = jax.tree.map(drawn, model), jax.tree.map(drawn, model)
    return base, between(base, other, scale)


def between(one, two, t):
    """The model at `t` on the line."""
    return jax.tree.map(lambda a, b: a + t * (b - a), one, two)


def errors(series, exact, t=1.0):
    """Relative errors of all orders, in units of the whole change."""
    change = jnp.linalg.norm(exact - series.coefficients[0])
    return [
        float(jnp.linalg.norm(exact - series.truncate(k)(t)) / change)
        for k in range(series.order + 1)
    ]
