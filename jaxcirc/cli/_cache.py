"""Where compiled programs are kept."""

import os


def compilation_cache() -> None:
    """Keep compiled programs in the user's cache folder, or where JAX was told to.

    Where there is no such folder, as for a user without a home, programs are compiled
    anew each time.
    """
    import jax

    if jax.config.jax_compilation_cache_dir is not None:  # pyright: ignore
        return
    folder = _writable_folder()
    if folder is None:
        return
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _writable_folder() -> str | None:
    """The user's cache folder for compiled programs, or None where there is none."""
    import platformdirs

    try:
        folder = os.path.join(platformdirs.user_cache_dir("jaxcirc"), "xla")
        # An unknown user's home is the letter `~`, which would become a folder here.
        if not os.path.isabs(folder):
            return None
        os.makedirs(folder, exist_ok=True)
    except (OSError, KeyError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK) else None
