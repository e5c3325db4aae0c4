"""Activations of one's own: an array, or a file of one."""

import pathlib

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key

from ._source import AbstractSource, Rows
from ._spread import spread_rows


class ArrayActivations(AbstractSource):
    """Rows of an array, each once in a pass.

    Args:
        rows: All of them.
        block: How many a draw gives.
        passes: How often each row may be drawn.
        key: Random key of the order.
    """

    rows: Rows
    block: int = eqx.field(static=True)
    key: Key[Array, ""]
    axes: tuple[str, ...] = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    most: int | None = eqx.field(static=True)

    def __init__(self, rows: Rows, block: int, passes: int, key: Key[Array, ""]):
        n = rows.input.shape[0]
        self.rows, self.key, self.block = rows, key, min(block, n)
        self.shape = rows.input.shape[1:-1]
        self.axes = tuple(f"source_{i}" for i in range(len(self.shape)))
        self.most = passes * (n // self.block)

    def draw(self, number: Int[Array, ""]) -> tuple[Rows, Bool[Array, " row"]]:
        """The rows of one draw, all of which count.

        Args:
            number: Number of the draw.
        """
        n = self.rows.input.shape[0]
        index = spread_rows(n, self.block, number, self.key)
        target = None if self.rows.target is None else self.rows.target[index]
        rows = Rows(self.rows.input[index], target)
        return rows, jnp.ones(self.block, bool)


def read_rows(data: str | pathlib.Path | np.ndarray | Array | tuple) -> Rows:
    """An array, a `.npy` file, or a pair of inputs and targets, as rows.

    Args:
        data: The array, [row, d] or with further axes between; the path of a file; or
            a pair of either for a transcoder.

    Raises:
        ValueError: it cannot be read, is not an array of real numbers with rows and a
            width, inputs and targets differ in their rows, or a number is not finite.
    """
    if isinstance(data, tuple):
        if len(data) != 2:
            raise ValueError(
                "saes.train: a tuple of activations is (inputs, targets); got "
                f"{len(data)} entries."
            )
        rows = Rows(_read(data[0]), _read(data[1]))
    else:
        rows = Rows(_read(data))
    if rows.target is not None and rows.target.shape[:-1] != rows.input.shape[:-1]:
        raise ValueError(
            "saes.train: inputs and targets must be of the same rows; got shapes "
            f"{rows.input.shape} and {rows.target.shape}."
        )
    return rows


def _read(data: str | pathlib.Path | np.ndarray | Array) -> Array:
    if isinstance(data, str | pathlib.Path):
        try:
            found = np.load(pathlib.Path(data).expanduser(), allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"saes.train: {data} cannot be read: {error}") from error
    else:
        found = data
    floats = jnp.issubdtype(getattr(found, "dtype", np.dtype(object)), jnp.floating)
    if not floats or found.ndim < 2 or not found.size:
        shape = getattr(found, "shape", None)
        raise ValueError(
            "saes.train: activations of one's own are an array of real numbers, "
            f"[row, d] with at least one row; got {type(found).__name__} of "
            f"shape {shape}."
        )
    array = jnp.asarray(found)
    finite = jnp.isfinite(array)
    if not bool(finite.all()):
        first = int(jnp.argmin(finite.reshape(array.shape[0], -1).all(axis=1)))
        raise ValueError(
            "saes.train: the activations have a NaN or an infinity, first in row "
            f"{first}. Leave such rows out."
        )
    return array
