"""Where numbers come from: versions, machine, time."""

import datetime
import importlib.metadata
import os
import platform
from typing import Any

import jax

# Those whose version may move a digit of a result.
_PACKAGES = ("jaxcirc", "jax", "jaxlib", "equinox", "optax", "numpy", "xarray")


def provenance() -> dict[str, Any]:
    """Versions of what computed, the machine it ran on, and when it began."""
    devices = jax.devices()
    now = datetime.datetime.now(datetime.UTC)
    return {
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": f"{len(devices)} × {devices[0].device_kind} ({devices[0].platform})",
        "cores": os.cpu_count(),
        "started": now.isoformat(timespec="seconds"),
    }
