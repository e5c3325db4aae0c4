"""Random keys that follow names, so a draw does not depend on what else is drawn."""

import hashlib

import jax.random as jr
from jaxtyping import Array, Key


def fold_name(key: Key[Array, ""], name: str) -> Key[Array, ""]:
    """A key for one named use of `key`: the same name always gives the same key."""
    digest = hashlib.blake2b(name.encode(), digest_size=4).digest()
    return jr.fold_in(key, int.from_bytes(digest, "little"))
