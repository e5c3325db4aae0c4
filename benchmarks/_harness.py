"""Time competitors in turns, and print one JSON line per case."""

import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

# Threads of the one before may spin on the cores for some milliseconds.
SETTLE_S = 0.02


def interleave(
    runs: Mapping[str, Callable[[], Any]], *, repeats: int = 7, warmup: int = 2
) -> dict[str, list[float]]:
    """Seconds of each run, measured in turns so that all meet the same machine."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(warmup + repeats):
        for name, run in runs.items():
            time.sleep(SETTLE_S)
            began = time.perf_counter()
            run()
            if repeat >= warmup:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, fastest and slowest."""
    return {
        "median_s": round(statistics.median(seconds), 6),
        "min_s": round(min(seconds), 6),
        "max_s": round(max(seconds), 6),
        "repeats": len(seconds),
    }


def report(case: str, **fields: Any) -> None:
    """Print one JSON line with the machine and the versions."""
    print(json.dumps({"case": case, **fields, **_environment()}), flush=True)


def _environment() -> dict[str, Any]:
    device = jax.devices()[0]
    versions = {}
    for package in ("jaxcirc", "jax", "equinox", "torch", "transformer-lens"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "device": f"{device.platform}: {device.device_kind}",
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "versions": versions,
    }


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()
