"""How much memory a training takes, before it runs."""

import math

import jax
import jax.numpy as jnp

from .._core import device_memory
from ._architecture import AbstractArchitecture
from ._checks import require
from ._program import Plan
from ._source import AbstractSource
from ._training import Training

# Arrays of [batch, d_sae] that one update holds at once: pre-activations, latents, the
# mask, and the gradients of them, as the compiler reports it for top-k.
PER_LATENT = 6
# Weights, their gradient and two moments of Adam; the gradient is one lane's alone.
KEPT = 3
FREE = 0.8


def weight_bytes(config: AbstractArchitecture) -> int:
    """Bytes of the weights of one dictionary.

    Args:
        config: Its architecture.
    """
    shapes = jax.eval_shape(lambda: config.init(jax.random.key(0)))
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(shapes))


def lane_bytes(config: AbstractArchitecture, training: Training) -> int:
    """Bytes that an update of one dictionary takes beside what it keeps.

    Args:
        config: Its architecture.
        training: Whose batches.
    """
    return PER_LATENT * training.batch_size * config.d_sae * 4 + weight_bytes(config)


def lanes_for(config: AbstractArchitecture, training: Training, members: int) -> int:
    """How many dictionaries are updated side by side.

    One on a CPU, whose caches hold one; on an accelerator as many as fit beside what
    all of them keep.

    Args:
        config: Their architecture.
        training: Whose batches.
        members: How many there are.
    """
    if jax.default_backend() == "cpu":
        return 1
    memory = device_memory()
    if memory is None:
        return members
    free = FREE * memory - members * KEPT * weight_bytes(config)
    return min(max(int(free // lane_bytes(config, training)), 1), members)


def estimated_bytes(
    config: AbstractArchitecture, source: AbstractSource, plan: Plan
) -> int:
    """Bytes that training holds at its peak, counted by hand.

    Args:
        config: The architecture.
        source: Where activations come from.
        plan: What the program is for.
    """
    drawn = jax.eval_shape(lambda: source.draw(jnp.zeros((), jnp.int32))[0])
    leaves = jax.tree.leaves(drawn)
    row = sum(math.prod(x.shape[1:]) * x.dtype.itemsize for x in leaves)
    slots = plan.training.buffer_rows + leaves[0].shape[0]
    kept = plan.members * KEPT * weight_bytes(config)
    given = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(source) if _real(x))
    lanes = plan.lanes * lane_bytes(config, plan.training)
    return kept + lanes + slots * row + leaves[0].shape[0] * row + given


def _real(x: object) -> bool:
    return isinstance(x, jax.Array) and not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def require_memory(
    config: AbstractArchitecture, source: AbstractSource, plan: Plan
) -> None:
    """Refuse a training that the device cannot hold.

    Args:
        config: The architecture.
        source: Where activations come from.
        plan: What the program is for.

    Raises:
        ValueError: it takes more memory than there is.
    """
    memory, needed = device_memory(), estimated_bytes(config, source, plan)
    devices = jax.device_count() if plan.members % jax.device_count() == 0 else 1
    require(
        memory is None or needed / devices <= memory,
        f"{plan.members} dictionaries of {config.d_in} to {config.d_sae} take about "
        f"{needed / 1e9:.1f} GB with their buffer, and the device has "
        f"{(memory or 0) / 1e9:.1f} GB. Train fewer at a time, or lower `batch_size` "
        "or `buffer_batches`.",
    )
