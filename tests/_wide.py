"""Double precision for a part of a test, by whichever name this version of jax has."""

from contextlib import AbstractContextManager

import jax


def double_precision(on: bool = True) -> AbstractContextManager:
    """In which arrays of 64 bits stay what they are, or are cut if `on` is false."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(on)
    # Its older home, which jax 0.10 has no longer.
    from jax.experimental import enable_x64

    return enable_x64(on)
