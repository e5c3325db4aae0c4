"""Time competitors in turns, and print one JSON line per case."""

import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

# Threads of the one before may spin on the cores for some milliseconds.
SETTLE_S = 0.02


class Peer:
    """Another library in an interpreter of its own, which answers with seconds.

    Args:
        python: The interpreter.
        script: Beside this file; it reads a line for each run and answers `seconds S`.
        workload: What the script is told to run.
    """

    def __init__(self, python: str, script: str, workload: str):
        self.process = subprocess.Popen(
            [python, pathlib.Path(__file__).parent / script, workload],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def seconds(self, asked: Any = "") -> float:
        """How long one run took there."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(asked, file=self.process.stdin, flush=True)
        for line in self.process.stdout:
            if line.startswith("seconds "):
                return float(line.split()[1])
        raise RuntimeError("the peer ended")


def interleave(
    runs: Mapping[str, Callable[[], Any] | Peer], *, repeats: int = 7, warmup: int = 2
) -> dict[str, list[float]]:
    """Seconds of each run, measured in turns so that all meet the same machine.

    A peer measures itself, without what it costs to ask it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(warmup + repeats):
        for name, run in runs.items():
            time.sleep(SETTLE_S)
            took = run.seconds() if isinstance(run, Peer) else _timed(run)
            if repeat >= warmup:
                seconds[name].append(took)
    return seconds


def _timed(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


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
