"""Matrices with named axes before their rows and columns."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._factored import Factored


class Part(eqx.Module):
    """Matrices of one kind, with named axes before their rows and columns.

    Args:
        values: Dense, or factored.
        dims: Names of the leading axes, such as `layer` and `head`.
        data: Weights, activations or gradients. Rows of activations are examples.
        layers: Which layers these are, of how many; None if all.

    Example:
        >>> import jax.numpy as jnp
        >>> part = Part(jnp.ones((3, 2, 2)), ("layer",), "weights").of_layers((1,))
        >>> part.dense().shape, part.on_every_layer(jnp.array([5.0])).tolist()
        ((1, 2, 2), [nan, 5.0, nan])
    """

    values: Array | Factored
    dims: tuple[str, ...] = eqx.field(static=True)
    data: str = eqx.field(static=True)
    layers: tuple[tuple[int, ...], int] | None = eqx.field(static=True, default=None)

    def dense(self) -> Array:
        """The matrices, multiplied out where they are factored."""
        return self.values.dense() if isinstance(self.values, Factored) else self.values

    def of_layers(self, layers: tuple[int, ...] | None) -> "Part":
        """Only these layers; all for None, and where there is no axis of layers."""
        if layers is None or "layer" not in self.dims:
            return self
        number = jax.tree.leaves(self.values)[0].shape[0]
        chosen = jax.tree.map(lambda x: x[jnp.array(layers)], self.values)
        return Part(chosen, self.dims, self.data, (layers, number))

    def on_every_layer(self, results: Array) -> Array:
        """Results for these matrices, with NaN at layers that were not asked for.

        Args:
            results: One for each of these layers, along the first axis.

        Returns:
            The same with as many layers as the model has.
        """
        if self.layers is None:
            return results
        chosen, number = self.layers
        whole = jnp.full((number, *results.shape[1:]), jnp.nan, results.dtype)
        return whole.at[jnp.array(chosen)].set(results)
