"""Environments of processes that tests start."""

import os

DEVICES = "--xla_force_host_platform_device_count"


def quick(*, devices: bool = True) -> dict[str, str]:
    """This environment, for a process whose programs are compiled as most tests' are.

    Args:
        devices: Whether it shall see the several devices that tests see.
    """
    flags = os.environ.get("XLA_FLAGS", "").split()
    if not devices:
        flags = [flag for flag in flags if not flag.startswith(DEVICES)]
    # What the environment says of optimisations holds for children too.
    chosen = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    return chosen | os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": " ".join(flags)}
