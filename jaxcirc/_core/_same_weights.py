"""Whether models hold the same weights, without bringing all of them to the host."""

import hashlib

import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ._trees import named_leaves

# Values of each array that are compared before whole models are.
_SAMPLE = 4096


def weights_digest(model: PyTree) -> str:
    """A short name for some values of every array: equal weights have equal names.

    Only those values leave the device. Models of one digest are compared by
    `equal_weights`.

    Args:
        model: Any pytree of arrays.
    """
    state = hashlib.blake2b(digest_size=12)
    for leaf in named_leaves(model).values():
        some = np.asarray(leaf.reshape(-1)[:: max(1, leaf.size // _SAMPLE)])
        # Equal weights must have equal hashes, and there are two zeros and many NaNs.
        some = np.where(some == 0, np.zeros_like(some), some)
        some = np.where(some != some, np.full_like(some, np.nan), some)
        state.update(some.tobytes())
    return state.hexdigest()


def equal_weights(one: PyTree, two: PyTree) -> bool:
    """Whether two models of one structure are equal, a NaN being equal to a NaN.

    Args:
        one: A pytree of arrays.
        two: Another with arrays of the same names and shapes.
    """
    pairs = zip(named_leaves(one).values(), named_leaves(two).values(), strict=True)
    same = [((x == y) | ((x != x) & (y != y))).all() for x, y in pairs if x is not y]
    # One transfer, however many arrays there are.
    return not same or bool(jnp.stack([jnp.asarray(s) for s in same]).all())
