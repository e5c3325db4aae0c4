"""Weights by path, and gradients of the loss of them."""

import fnmatch

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, PyTree

from .._core import named_leaves
from ..models import Transformer, TransformerConfig
from ._component import (
    AbstractComponent,
    Data,
    Needs,
    Observed,
    Position,
    check_options,
    label_of,
)
from ._part import Part


class Weight(AbstractComponent):
    """One weight, or all whose paths match a pattern, as matrices.

    Gradients are those of the batch's mean cross-entropy, in nats.

    Attributes:
        name: A path (`blocks.attn.W_Q`), its ending (`W_Q`) or a pattern
            (`blocks.mlp.*`).
        data: Weights or gradients.
        heads: Take every head by itself where there is an axis of heads.
        layers: Only these layers; None for all.
    """

    name: str = eqx.field(static=True)
    data: Data = eqx.field(static=True)
    heads: bool = eqx.field(static=True)
    layers: tuple[int, ...] | None = eqx.field(static=True)

    @property
    def label(self) -> str:
        """The name, with the kind of data if not the usual; parts go by their paths."""
        return label_of(self.name, self.data, usual="weights")

    def needs(self, config: TransformerConfig) -> Needs:
        """The gradients of all weights, where they are asked for."""
        del config
        return Needs(weight_gradients=self.data == "gradients")

    def parts(self, seen: Observed) -> dict[str, Part]:
        """One part for each path, by layer and head where there are such."""
        tree = seen.weight_gradients if self.data == "gradients" else seen.model
        leaves = named_leaves(tree)
        return {
            label_of(path, self.data, usual="weights"): self._matrices(
                path, leaves[path]
            )
            for path in weight_paths(self.name, seen.model.config)
        }

    def _matrices(self, path: str, x: Array) -> Part:
        layer = path.startswith("blocks.")
        lead, dims = (x.shape[:1], ["layer"]) if layer else ((), [])
        body = x.ndim - len(lead)
        # W_Q, W_K and W_V are [d_model, head, d_head], and W_O starts with heads.
        if body == 3:
            place = len(lead) + (0 if path.endswith("W_O") else 1)
            if self.heads:
                x = jnp.moveaxis(x, place, len(lead))
                grouped = path.endswith(("W_K", "W_V"))
                dims.append("kv_head" if grouped else "head")
            elif path.endswith("W_O"):
                x = x.reshape(*lead, -1, x.shape[-1])
            else:
                x = x.reshape(*lead, x.shape[-3], -1)
        # Biases are matrices of one row, as metrics of matrices take them.
        elif body == 2 and ".attn.b_" in path:
            x = x.reshape(*lead, 1, -1)
        elif body == 1:
            x = x[..., None, :]
        return Part(x, tuple(dims), self.data)


def weight(
    name: str,
    config: TransformerConfig,
    *,
    data: Data | None = None,
    position: Position = -1,
    heads: bool = False,
    layers: tuple[int, ...] | None = None,
) -> Weight:
    """The component of weights that the model has.

    Args:
        name: A path, its ending, or a pattern that matches at least one path.
        config: The model's config.
        data: Weights unless given.
        position: Only checked: weights have none.
        heads: Take every head by itself.
        layers: Only these layers.

    Raises:
        ValueError: the model has no such layer, or activations are asked for.
    """
    data = data or "weights"
    if data == "activations":
        raise ValueError(
            f"component {name!r} is a weight, which has no activations. For those give "
            "a site, such as 'resid_post'."
        )
    has: tuple[Data, ...] = ("weights", "gradients")
    check_options(name, config, data=data, has=has, layers=layers, position=position)
    return Weight(name=name, data=data, heads=heads, layers=layers)


def all_paths(config: TransformerConfig) -> list[str]:
    """Paths of every weight of a model with this config."""
    model: PyTree = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))
    return list(named_leaves(model))


def weight_paths(name: str, config: TransformerConfig) -> list[str]:
    """Paths of the weights that a name stands for: itself, its ending, or a pattern.

    Args:
        name: A path, its ending, or a pattern such as `blocks.mlp.*`.
        config: The model's config.

    Returns:
        The paths, in the model's order; none where nothing matches.
    """
    # A name may be a whole path, a module with all below it, or the end of a path.
    patterns = (name, f"{name}.*", f"*.{name}")
    paths = all_paths(config)
    return [p for p in paths if any(fnmatch.fnmatchcase(p, q) for q in patterns)]
