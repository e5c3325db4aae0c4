"""Small models with dictionaries that are exact, or not."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from jaxcirc import circuits, saes
from jaxcirc.models import Transformer, TransformerConfig
from jaxcirc.tasks import Induction

TASK = Induction(7, 9, 3, 4)
D = 8


def pairs(n=4, seed=1):
    return circuits.pairs(TASK, n, key=jr.key(seed))


def model(seed=0, **changes):
    shape = {"d_vocab": 8, "n_ctx": 9, "n_layers": 2, "d_model": D, "n_heads": 2}
    made = Transformer(TransformerConfig(**(shape | changes)), key=jr.key(seed))
    return jax.tree.map(lambda x: x + 0.3 * jr.normal(jr.key(x.size), x.shape), made)


def linear_model():
    """All attend to everything before them alike, and nothing is normalised."""
    made = model(norm="none", d_mlp=0)
    attn = lambda m: (m.blocks.attn.W_Q, m.blocks.attn.b_Q)
    return eqx.tree_at(attn, made, jax.tree.map(jnp.zeros_like, attn(made)))


def exact_dictionary() -> saes.Dictionary:
    """Both signs of every coordinate: what it reads is what it writes."""
    both = jnp.concatenate([jnp.eye(D), -jnp.eye(D)])
    return saes.Dictionary(
        both.T, jnp.zeros(2 * D), both, jnp.zeros(D), None, saes.Relu()
    )


def poor_dictionary(seed=0, d_sae=12) -> saes.Dictionary:
    return saes.TopK(d_in=D, d_sae=d_sae, k=3).init(jr.key(seed))


def stack(*dictionaries):
    return jax.tree.map(lambda *xs: jnp.stack(xs), *dictionaries)
