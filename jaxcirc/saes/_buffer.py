"""Activations on the device, each served at most once and in mixed order."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Int, Key, PyTree, UInt32

# A source whose mask leaves out nearly everything would be drawn from for ever.
MOST_DRAWS = 64


class Buffer(NamedTuple):
    """Activations that wait to be served, as a value that compiled programs carry.

    Rows never move. What changes is `order`, a permutation of all slots: first those
    whose rows wait, in the order in which they will be served, then the free ones.
    Serving reads rows in that order, and refilling writes into free slots and draws the
    order of all that wait anew, so that what is left of earlier documents mixes with
    later ones.

    Args:
        rows: Activations; every array has a leading axis of slots.
        order: The slots, waiting ones first.
        waiting: How many rows wait.
        drawn: Calls of the source so far.
        seen: Rows put into the buffer so far, modulo 2³².
        starved: Whether a refill ended because the source gave too little.
        finite: Whether all numbers that were put into it are.
    """

    rows: PyTree[Array]
    order: Int[Array, " slot"]
    waiting: Int[Array, ""]
    drawn: Int[Array, ""]
    seen: UInt32[Array, ""]
    starved: Bool[Array, ""]
    finite: Bool[Array, ""]

    @property
    def slots(self) -> int:
        """How many rows there is room for."""
        return self.order.shape[0]


# (number of the draw) -> rows, and which of them count.
Source = Callable[[Int[Array, ""]], tuple[PyTree, Bool[Array, " row"]]]


def empty_buffer(size: int, drawn: PyTree) -> Buffer:
    """A buffer without rows, with room for `size` rows and one draw more.

    The room for a draw is what lets a refill take whole draws and lose none.

    Args:
        size: Rows that a refill brings the buffer to, at least.
        drawn: What one draw of the source gives, or its shapes.
    """
    slots = size + jax.tree.leaves(drawn)[0].shape[0]
    rows = jax.tree.map(lambda x: jnp.zeros((slots, *x.shape[1:]), x.dtype), drawn)
    zero = jnp.zeros((), jnp.int32)
    order = jnp.arange(slots, dtype=jnp.int32)
    no, yes = jnp.array(False), jnp.array(True)
    return Buffer(rows, order, zero, zero, zero.astype(jnp.uint32), no, yes)


def put(buffer: Buffer, rows: PyTree, keep: Bool[Array, " row"]) -> Buffer:
    """The buffer with those rows in free slots that are to be kept.

    Args:
        buffer: Has at least as many free slots as rows are kept.
        rows: Activations, of the structure of the buffer's.
        keep: Which of them to store; the others are left out.
    """
    kept = keep.sum(dtype=jnp.int32)
    place = buffer.waiting + jnp.cumsum(keep, dtype=jnp.int32) - 1
    # Out of range is nowhere: what is left out needs no branch.
    slot = jnp.where(keep, buffer.order.at[place].get(mode="clip"), buffer.slots)

    def write(stored: Array, new: Array) -> Array:
        return stored.at[slot].set(new.astype(stored.dtype), mode="drop")

    def finite(new: Array) -> Array:
        return (jnp.isfinite(new).reshape(len(keep), -1).all(axis=1) | ~keep).all()

    # Looked at here, where a row is met once, and not in every batch.
    fine = jnp.stack([finite(x) for x in jax.tree.leaves(rows)]).all()
    return buffer._replace(
        rows=jax.tree.map(write, buffer.rows, rows),
        finite=buffer.finite & fine,
        waiting=buffer.waiting + kept,
        seen=buffer.seen + kept.astype(jnp.uint32),
    )


def refill(
    buffer: Buffer,
    source: Source,
    size: int | Int[Array, ""],
    *,
    most: int | None = None,
    key: Key[Array, ""],
) -> Buffer:
    """The buffer with at least `size` rows waiting, in an order that the key decides.

    Draws are numbered, and a source is a function of the number, so that a buffer that
    was saved goes on with what it would have seen. A source that keeps next to nothing,
    or has come to its end, leaves the buffer short, and `starved` says so.

    Args:
        buffer: Made for `size` or more by `empty_buffer`.
        source: (number of the draw) -> rows, and which of them count.
        size: How many rows have to wait.
        most: How many draws the source has; None for no end.
        key: Random key of the order; it should be new for every refill.
    """
    per_draw = jax.eval_shape(source, buffer.drawn)[1].shape[0]
    last = buffer.drawn + MOST_DRAWS * -(-buffer.slots // per_draw)
    if most is not None:
        last = jnp.minimum(last, most)

    def short(b: Buffer) -> Array:
        return (b.waiting < size) & (b.drawn < last)

    def draw(b: Buffer) -> Buffer:
        return put(b, *source(b.drawn))._replace(drawn=b.drawn + 1)

    filled = jax.lax.while_loop(short, draw, buffer)
    starved = filled.starved | (filled.waiting < size)
    return _shuffled(filled._replace(starved=starved), key)


def _shuffled(buffer: Buffer, key: Key[Array, ""]) -> Buffer:
    # A stable sort of random numbers, in which free slots come last as they were.
    number = jr.uniform(key, (buffer.slots,), jnp.float32)
    waits = jnp.arange(buffer.slots) < buffer.waiting
    order = buffer.order[jnp.argsort(jnp.where(waits, number, 2.0))]
    return buffer._replace(order=order)


def served(buffer: Buffer, batch: int | Int[Array, ""], batch_size: int) -> PyTree:
    """The rows of one batch of those that wait; the buffer stays as it is.

    Args:
        buffer: Refilled.
        batch: Number of the batch since the refill, from 0.
        batch_size: Rows of each.
    """
    start = jnp.asarray(batch, jnp.int32) * batch_size
    slots = jax.lax.dynamic_slice_in_dim(buffer.order, start, batch_size)
    return jax.tree.map(lambda x: x[slots], buffer.rows)


def without(buffer: Buffer, n: int) -> Buffer:
    """The buffer after its first `n` waiting rows were served, whose slots are free.

    Args:
        buffer: With at least `n` rows waiting.
        n: How many were served.
    """
    order = jnp.roll(buffer.order, -n)
    return buffer._replace(order=order, waiting=buffer.waiting - n)
