"""Where compiled programs are kept."""

import os


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
