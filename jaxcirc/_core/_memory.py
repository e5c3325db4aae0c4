"""How much memory the device has."""

import os

import jax


def device_memory() -> int | None:
    """Bytes of memory of the first device, or None where that cannot be known."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (AttributeError, ValueError, OSError):
            return None
    return (device.memory_stats() or {}).get("bytes_limit")
