"""The matrices of a model, those of its blocks layer by layer."""

from collections.abc import Iterator, Mapping

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array

from ..._core import named_leaves
from ...adapters import matrix_shape
from ...models import Transformer, TransformerConfig


def matrices(leaves: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """Every matrix with its name, [inputs, outputs]; biases and norms are left out.

    Args:
        leaves: Weights of a model, or changes of them, by path.
    """
    for name, leaf in leaves.items():
        shape = matrix_shape(name, leaf.shape)
        if shape is None:
            continue
        if not name.startswith("blocks."):
            yield name, leaf.reshape(shape)
            continue
        # Layers are stacked in one array, and change each in its own way.
        for layer in range(leaf.shape[0]):
            label = name.replace("blocks.", f"blocks.{layer}.", 1)
            yield label, leaf[layer].reshape(shape)


def matrix_names(config: TransformerConfig) -> list[str]:
    """Names of a model's matrices in the order of `matrices`.

    Args:
        config: The config of the model.
    """
    like = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))
    bits = {n: jnp.zeros(x.shape, jnp.bool) for n, x in named_leaves(like).items()}
    return [name for name, _ in matrices(bits)]
