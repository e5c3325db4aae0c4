"""What a run of the tests costs: processor time of all of it, memory of each worker."""

import resource
import sys

import pytest

COSTS = pytest.StashKey[dict[str, tuple[float, float]]]()


def processor_seconds() -> float:
    """User and system time of this process and of the ones it has waited for."""
    spent = (resource.getrusage(resource.RUSAGE_SELF),)
    spent += (resource.getrusage(resource.RUSAGE_CHILDREN),)
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def peak_gigabytes() -> float:
    """The most memory that this process has had resident, in units of 1e9 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def pytest_configure(config):
    config.stash[COSTS] = {}


# First: xdist then waits for the workers, whose time would be counted twice.
@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    cost = (processor_seconds(), peak_gigabytes())
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["cost"] = cost
    else:
        session.config.stash[COSTS]["main"] = cost


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    # A worker that crashed has left nothing.
    cost = getattr(node, "workeroutput", {}).get("cost")
    if cost is not None:
        node.config.stash[COSTS][node.gateway.id] = cost


def pytest_terminal_summary(terminalreporter, config):
    costs = config.stash[COSTS]
    if costs:
        seconds = sum(seconds for seconds, _ in costs.values())
        peaks = ", ".join(f"{name} {peak:.2f}" for name, (_, peak) in costs.items())
        terminalreporter.write_line(
            f"{seconds:.0f} s of processor time; peak memory in GB: {peaks}"
        )
