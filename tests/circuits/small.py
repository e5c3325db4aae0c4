"""Small random models of every kind, and pairs without a task."""

import functools

import jax
import jax.numpy as jnp
import jax.random as jr

from jaxcirc.models import Transformer, TransformerConfig
from jaxcirc.tasks import Pairs

from ..models.toys import toy

N_POS, D_VOCAB = 5, 13


@functools.cache
def model_of(config: TransformerConfig) -> Transformer:
    """Random weights, biases and norms included, none of them small."""
    model = Transformer(config, key=jr.key(0))
    noise = lambda x: x + 0.3 * jr.normal(jr.key(x.size), x.shape)
    return jax.tree.map(noise, model)


def named(name: str) -> Transformer:
    """The model of one of `TOYS`."""
    return model_of(toy(name))


def some_pairs(n: int = 3, *, n_pos: int = N_POS, seed: int = 1) -> Pairs:
    """Random sequences; the answer is asked for at the last position."""
    clean, corrupted = jr.randint(jr.key(seed), (2, n, n_pos), 0, D_VOCAB)
    right, wrong = jnp.full((n, 1), 1), jnp.full((n, 1), 2)
    return Pairs(clean, corrupted, right, wrong, {"end": jnp.full(n, n_pos - 1)})
