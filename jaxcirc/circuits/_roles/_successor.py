"""Heads that say what comes next in an order, such as the days of the week."""

import jax
import jax.numpy as jnp

from ...models import Tape, Transformer, capture
from ._ov_logits import of_each_head
from ._role import Role, RoleSpec
from ._scene import Scene


def successor(scene: Scene) -> Role:
    """The share of ordered tokens whose successor is what a head says about them.

    For each item of a class that is not the last, what the head would write if it
    attended to that token alone is unembedded, and the largest logit within the class
    must be that of the next item (Gould et al. 2023). Tokens are read as the first MLP
    writes them, W_U W_O W_V MLP_0(W_E), and as embedded in a model without MLPs.

    Args:
        scene: What was observed.
    """
    c = scene.model.config
    hits, items, chance = jnp.zeros((c.n_layers, c.n_heads)), 0, 0.0
    for tokens in scene.classes:
        found = of_each_head(
            scene.model, _read(scene.model, tokens[:-1]), _hits(tokens)
        )
        number = len(tokens) - 1
        hits, items = hits + found.astype(hits.dtype), items + number
        chance += number / len(tokens)
    return Role(hits / items, chance / items)


def _hits(tokens):
    """A function of logits: how many items have their successor as the largest."""

    def read(logits):
        own = logits[:, tokens]
        place = jnp.arange(len(tokens) - 1)
        said = own[place, place + 1]
        # A tie is no lead: a head that writes nothing has no successor.
        others = (own >= said[:, None]).sum(axis=1) - 1
        return jnp.sum(others == 0).astype(logits.dtype)

    return read


def _read(model: Transformer, tokens):
    """Tokens as heads above the first layer find them."""
    _, acts = capture(model, tokens[:, None], ("embed",))
    x = acts["embed"][:, 0]
    first = jax.tree.map(lambda leaf: leaf[0], model.blocks)
    if first.mlp is None:
        return x
    x = first.mlp(x if first.ln2 is None else first.ln2(x), Tape())
    return x if first.ln2_post is None else first.ln2_post(x)


ROLE = RoleSpec(
    "successor",
    "says what comes next in an order",
    successor,
    0.3,
    paper="Gould et al. (2023), Successor heads",
    takes_classes=True,
)
