"""Whether there is anything to compute on."""

import os


def check_device() -> None:
    """Refuse an environment that names a kind of device that is not here.

    Raises:
        ValueError: JAX cannot start; the message says what it was told.
    """
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        # Where a backend's plugin is missing, JAX fails an assertion of its own.
        told = os.environ.get("JAX_PLATFORMS") or jax.config.jax_platforms  # pyright: ignore
        reason = (str(error).splitlines() or ["there is no such device here"])[0]
        raise ValueError(
            f"JAX cannot start with JAX_PLATFORMS={told}: {reason.rstrip('.')}. Unset "
            "it to take what there is, or set JAX_PLATFORMS=cpu."
        ) from error
