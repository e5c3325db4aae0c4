"""Many updates of any state in one compiled call."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int, PyTree

# Losses of one call; also the most updates between two looks at the result.
CALL_STEPS = 1024

# (state, shared) -> the state after one update, and the loss before it.
Update = Callable[[Any, Any], tuple[Any, Array]]


class Loop(eqx.Module):
    """An update that is made many times in one compiled call, of one state or several.

    The state is any pytree: weights, optimiser, counters, running means, keys. Calling
    the loop makes `n` updates and returns the state after them with the loss before
    each. `n` is an array, so one compilation serves calls of every length, and the
    result does not depend on how updates are divided into calls: a run that saves its
    state, stops and goes on from the file ends in the same bits.

    A member whose loss is not finite stops there, and its losses after that stay 0.
    The state that is given is donated: its memory holds the new one.

    With `members` the state has a leading axis of as many independent states, such as
    one for each seed. They are divided over all devices where they divide evenly. On a
    CPU those of one device run one after the other, which keeps each in cache; an
    accelerator has room to run them side by side.

    Args:
        update: (state, shared) -> the state after one update, and the loss before it,
            a scalar. It gets one member at a time, without the leading axis.
        members: Number of states; None for one without a leading axis.

    Example:
        >>> import jax.numpy as jnp
        >>> halve = Loop(lambda x, shared: (x / 2, x))
        >>> state, losses = halve(jnp.array(8.0), 3)
        >>> float(state), losses[:3].tolist()
        (1.0, [8.0, 4.0, 2.0])
    """

    update: Update
    members: int | None = eqx.field(static=True, default=None)

    def __call__(
        self, state: PyTree, n: int | Int[Array, ""], shared: PyTree = None
    ) -> tuple[PyTree, Float[Array, "*member step"]]:
        """The state after `n` updates, and the loss before each.

        Args:
            state: Where to begin; it is donated.
            n: Number of updates, at most `CALL_STEPS`.
            shared: What every update reads and none changes, such as data.

        Returns:
            The state, and `CALL_STEPS` losses for each member, of which the first `n`
            were written.
        """
        return _advance_jit((self, shared, jnp.asarray(n, jnp.int32)), state)

    def memory(self, state: PyTree, shared: PyTree = None) -> int:
        """Bytes that a call holds at its peak, by the compiler's count.

        Args:
            state: A state, or its shapes.
            shared: As in a call, or its shapes.

        Returns:
            Size of arguments and temporary arrays; nothing is executed.
        """
        # Shapes are no arrays to Equinox, which would hold them for constants.
        shapes, rest = eqx.partition((state, shared), _has_shape)

        def program(state: PyTree, shared: PyTree, n: Array) -> tuple[PyTree, Array]:
            state, shared = eqx.combine((state, shared), rest)
            state, losses = _advance((self, shared, n), state)
            return eqx.filter(state, eqx.is_array), losses

        lowered = jax.jit(program, donate_argnums=0).lower(*shapes, jnp.int32(1))
        found: Any = lowered.compile().memory_analysis()
        return found.argument_size_in_bytes + found.temp_size_in_bytes


def _has_shape(x: Any) -> bool:
    return eqx.is_array(x) or isinstance(x, jax.ShapeDtypeStruct)


def _advance(kept: tuple[Loop, PyTree, Array], state: PyTree) -> tuple[PyTree, Array]:
    loop, shared, n = kept
    shared, fixed = eqx.partition(shared, eqx.is_array)
    state, rest = eqx.partition(state, eqx.is_array)

    def one(shared: PyTree, state: PyTree, n: Array) -> tuple[PyTree, Array]:
        def update(state: PyTree) -> tuple[PyTree, Array]:
            moved, loss = loop.update(
                eqx.combine(state, rest), eqx.combine(shared, fixed)
            )
            return eqx.filter(moved, eqx.is_array), loss

        return _repeat(update, state, n)

    run = one if loop.members is None else _over_members(one, loop.members)
    state, losses = run(shared, state, n)
    return eqx.combine(state, rest), losses


# Of the arguments Equinox donates all but the first, so what is kept is one.
_advance_jit = eqx.filter_jit(_advance, donate="all-except-first")


def _repeat(update: Callable, state: PyTree, n: Array) -> tuple[PyTree, Array]:
    """The state after `n` updates, or after the first whose loss was not finite."""

    def unfinished(carry):
        i, _, _, finite = carry
        return (i < n) & finite

    def step(carry):
        i, state, losses, _ = carry
        state, loss = update(state)
        return i + 1, state, losses.at[i].set(loss), jnp.isfinite(loss)

    # Not NaN, which `jax_debug_nans` would take for a fault of the model.
    losses = jnp.zeros(CALL_STEPS)
    start = (jnp.zeros_like(n), state, losses, jnp.array(True))
    _, state, losses, _ = jax.lax.while_loop(unfinished, step, start)
    return state, losses


def _over_members(one: Callable, members: int) -> Callable:
    """The loop `one` for every member of a state, divided over devices."""

    def every(shared: PyTree, state: PyTree, n: Array) -> tuple[PyTree, Array]:
        if jax.default_backend() == "cpu":
            return jax.lax.map(lambda s: one(shared, s, n), state)
        return jax.vmap(lambda s: one(shared, s, n))(state)

    n_devices = jax.device_count()
    if n_devices == 1 or members % n_devices:
        return every
    along, everywhere = PartitionSpec("member"), PartitionSpec()
    return jax.shard_map(
        every,
        mesh=Mesh(np.array(jax.devices()), ("member",)),
        in_specs=(everywhere, along, everywhere),
        out_specs=(along, along),
        check_vma=False,
    )
