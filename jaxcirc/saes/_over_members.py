"""The same computation for many members: one after the other, side by side, spread."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, PyTree

# (one member, what is its own, what all share) -> the member, and what is known of it.
One = Callable[..., tuple[PyTree, PyTree]]


def over_members(one: One, members: int, lanes: int = 1) -> One:
    """A computation of one member, for a stack of them.

    Where the devices divide the members evenly, each device has as many of them, and
    nothing is sent between devices. Those of one device run in groups of `lanes`, side
    by side within a group: one at a time keeps a CPU's caches warm, and an accelerator
    needs many to be busy.

    Args:
        one: (member, own, shared) -> (member, record), without an axis of members.
        members: How many there are.
        lanes: How many run side by side on each device.
    """
    devices = jax.device_count()
    if devices == 1 or members % devices:
        return _in_groups(one, members, lanes)
    along, everywhere = PartitionSpec("member"), PartitionSpec()
    return jax.shard_map(
        _in_groups(one, members // devices, lanes),
        mesh=Mesh(np.array(jax.devices()), ("member",)),
        in_specs=(along, along, everywhere),
        out_specs=(along, along),
        check_vma=False,
    )


def _in_groups(one: One, members: int, lanes: int) -> One:
    if lanes >= members:
        return jax.vmap(one, in_axes=(0, 0, None)) if members > 1 else _single(one)
    if lanes == 1:
        return _in_turn(one, members)
    # Groups are of one size: the largest that divides the members.
    size = max(n for n in range(1, lanes + 1) if members % n == 0)
    together = jax.vmap(one, in_axes=(0, 0, None))
    in_turn = _in_turn(together, members // size)

    def grouped(member: PyTree, own: PyTree, shared: PyTree) -> tuple[PyTree, PyTree]:
        split = lambda x: x.reshape(members // size, size, *x.shape[1:])
        join = lambda x: x.reshape(members, *x.shape[2:])
        found = in_turn(*jax.tree.map(split, (member, own)), shared)
        return jax.tree.map(join, found)

    return grouped


def _single(one: One) -> One:
    def run(member: PyTree, own: PyTree, shared: PyTree) -> tuple[PyTree, PyTree]:
        found = one(*jax.tree.map(lambda x: x[0], (member, own)), shared)
        return jax.tree.map(lambda x: x[None], found)

    return run


def _in_turn(one: One, members: int) -> One:
    """Each in its turn, written back to its place in the stack.

    `jax.lax.map` would hold the stack twice, since what it returns is new.
    """

    def run(stack: PyTree, own: PyTree, shared: PyTree) -> tuple[PyTree, PyTree]:
        of = lambda tree, i: jax.tree.map(lambda x: x[i], tree)
        shapes = jax.eval_shape(one, of(stack, 0), of(own, 0), shared)[1]
        empty = lambda x: jnp.zeros((members, *x.shape), x.dtype)
        records = jax.tree.map(empty, shapes)

        def turn(i: Array, carry: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
            found = one(of(carry[0], i), of(own, i), shared)
            return jax.tree.map(lambda kept, x: kept.at[i].set(x), carry, found)

        return jax.lax.fori_loop(0, members, turn, (stack, records))

    return run
