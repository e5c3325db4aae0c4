"""Random keys that follow names, so a draw does not depend on what else is drawn."""

import hashlib

import jax.random as jr
from jaxtyping import Array, Int, Key


def seed_key(seed: int | Int[Array, ""]) -> Key[Array, ""]:
    """The key of a seed, of one generator whatever `jax_default_prng_impl` says.

    Threefry gives the same numbers for a key alone and among many under `vmap`; JAX's
    other generators do not, so a seed trained among eight would be another one alone.
    """
    return jr.key(seed, impl="threefry2x32")


def fold_name(key: Key[Array, ""], name: str) -> Key[Array, ""]:
    """A key for one named use of a key: the same name always gives the same key.

    Draws then do not depend on what else is drawn, nor on its order.

    Args:
        key: The key that is shared by all uses.
        name: The use; any text.
    """
    digest = hashlib.blake2b(name.encode(), digest_size=4).digest()
    return jr.fold_in(key, int.from_bytes(digest, "little"))
