"""What the command does to its own process before any work."""

import contextlib
import ctypes
import os
import sys


def compilation_cache() -> None:
    """Keep compiled programs in the user's cache folder, or where JAX was told to."""
    import jax
    import platformdirs

    if jax.config.jax_compilation_cache_dir is not None:  # pyright: ignore
        return
    folder = os.path.join(platformdirs.user_cache_dir("jaxcirc"), "xla")
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def keep_memory() -> None:
    """Have the C library keep freed memory for the next array instead of giving it up.

    Fresh pages from the system cost more than the arithmetic on them; without this,
    training the grokking model on a CPU takes about an eighth longer.
    """
    if sys.platform != "linux":
        return
    never_mmap, never_trim = -4, -1  # M_MMAP_MAX, M_TRIM_THRESHOLD
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(never_mmap, 0)
        libc.mallopt(never_trim, 2**31 - 1)
