"""What training gives: dictionaries along named axes, and every step of each."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float

from ._dictionary import Dictionary


class Trained(eqx.Module):
    """Dictionaries that were trained together, and what each step of them was like.

    Arrays of `dictionary` have the axes of `axes` in front, so that `jax.vmap` runs all
    of them; an index gives one, or a part. With no axes it is a single dictionary.

    Args:
        dictionary: All of them; they take activations as models give them.
        axes: What they differ in: `checkpoint`, `layer` or `site`, `config`, `seed`, of
            which those are there that have more than one entry.
        history: Name -> numbers [*axes, step] of each batch before its update: `loss`,
            `reconstruction`, `l0`, `fvu`, `dead` and `coefficient`.

    Example:
        >>> import jax
        >>> from jaxcirc import saes
        >>> truth = saes.planted(12, 6, l0=2.0, key=jax.random.key(0))
        >>> training = saes.Training(steps=8, batch_size=16, buffer_batches=4, seeds=3)
        >>> config = saes.TopK(d_in=6, d_sae=12, k=2)
        >>> found = saes.train(
        ...     config, None, None, truth, training, key=jax.random.key(1)
        ... )
        >>> found.axes, found.shape, found.history["loss"].shape
        (('seed',), (3,), (3, 8))
        >>> found[0].W_enc.shape
        (6, 12)
    """

    dictionary: Dictionary
    axes: tuple[str, ...] = eqx.field(static=True)
    history: dict[str, Float[np.ndarray, "..."]]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many there are along each axis."""
        return self.dictionary.W_enc.shape[: len(self.axes)]

    def __getitem__(self, index: Any) -> Dictionary:
        """The dictionaries at an index, as NumPy would index an array of them.

        Args:
            index: Integers, slices, or a tuple of them, for the leading axes.
        """
        entries = index if isinstance(index, tuple) else (index,)
        if len(entries) > len(self.axes):
            raise IndexError(
                f"Trained: {len(entries)} indices for {len(self.axes)} axes "
                f"{self.axes}; the axes of weights are not indexed here."
            )
        return jax.tree.map(lambda x: x[index], self.dictionary)

    def at(self, **index: int) -> Dictionary:
        """The dictionaries at places of axes that are named.

        Args:
            index: Axis -> place; axes that are not named stay.

        Raises:
            ValueError: there is no such axis.
        """
        strange = set(index) - set(self.axes)
        if strange:
            raise ValueError(
                f"Trained.at: no axis {', '.join(sorted(strange))}; there are "
                f"{', '.join(self.axes) or 'none'}."
            )
        return self[tuple(index.get(axis, slice(None)) for axis in self.axes)]
