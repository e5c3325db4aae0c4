"""Strict settings for every test: shapes checked, no silent promotion, a cache."""

import ctypes
import gc
import importlib.util
import mmap
import os
import pathlib
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Set before JAX starts: the tests shard over several host devices.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)

import jax  # noqa: E402
import jaxtyping  # noqa: E402
import pytest  # noqa: E402

from tests._closures import once_for_code  # noqa: E402

ROOT = pathlib.Path(__file__).parent

# Scripts that made frozen numbers need what the tests do not.
collect_ignore_glob = ["tests/*/make_*.py"]

if jax.config.jax_compilation_cache_dir is None:
    jax.config.update("jax_compilation_cache_dir", str(ROOT / ".pytest_cache" / "xla"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# What the hook below puts above every function.
jaxtyping.jaxtyped = once_for_code(jaxtyping.jaxtyped)
# An int where a float is expected is fine, as everywhere in Python.
jaxtyping.install_import_hook(
    ["jaxcirc", "tracr_bridge"],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)

pytest_plugins = ["tests._cost"]

# Tracing makes objects by the million, and few of them are garbage in circles. What is
# older is searched when a worker's memory is full, as below.
gc.set_threshold(20_000, 50, 1000)

# XLA's older way of making loops, which compiles in half the time; and a program is one
# module for LLVM instead of 32, each of which brings what they share again.
QUICK = {
    "xla_cpu_use_fusion_emitters": "false",
    "xla_cpu_parallel_codegen_split_count": "1",
}


def pytest_configure(config):
    """Compile quickly unless long tests run, which are to run what users run."""
    if "not slow" in config.option.markexpr:
        for flag in _known_to_xla(QUICK):
            os.environ["XLA_FLAGS"] += f" --{flag}={QUICK[flag]}"


def _known_to_xla(flags) -> list[str]:
    """The flags that this version of XLA has; a process ends at one that it lacks."""
    spec = importlib.util.find_spec("jaxlib")
    folders = (spec.submodule_search_locations or []) if spec else []
    known = set()
    for library in (file for f in folders for file in pathlib.Path(f).glob("*.so")):
        with (
            library.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            known |= {flag for flag in flags if data.find(flag.encode()) >= 0}
    return [flag for flag in flags if flag in known]


# Compiling takes most of the time of tests whose models are tiny, and four times as
# much with LLVM's optimisations as without. So only tests marked `optimized` or `slow`
# run what users run, and so do the commands that tests start as processes of their own.
# Where the environment has JAX's variable, it holds for all: 0 optimises every test.
CHOOSE = "JAX_DISABLE_MOST_OPTIMIZATIONS" not in os.environ
OPTIMIZED = pytest.StashKey[bool]()

# Compiled programs are kept for the next test until a worker holds this many bytes, and
# from then on only if so many are left once what was freed is given back.
ENOUGH, KEPT = 1e9, 8e8
# Of the 65,530 that Linux allows a process; every program takes several.
MAPPINGS = 40_000


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Choose how the programs of a test are compiled, before its fixtures make any."""
    marks = {mark.name for mark in item.iter_markers()}
    optimized = bool(marks & {"optimized", "slow"})
    if CHOOSE and optimized != item.config.stash.get(OPTIMIZED, None):
        # JAX does not tell compiled programs apart by this setting.
        jax.clear_caches()
        jax.config.update("jax_disable_most_optimizations", not optimized)
        item.config.stash[OPTIMIZED] = optimized


def resident_bytes() -> float:
    """How much memory this process holds; 0 where Linux is not there to say."""
    try:
        pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
    except FileNotFoundError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def mappings() -> int:
    """How many pieces of memory this process has mapped; 0 where nobody says."""
    try:
        with open("/proc/self/maps", "rb") as file:
            return sum(1 for _ in file)
    except FileNotFoundError:
        return 0


def trim() -> None:
    """Give back to the system what was freed and is kept for this process."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(autouse=True)
def _forget_compiled_programs():
    """A process can map only so many compiled programs, and chains are large ones."""
    yield
    if resident_bytes() < ENOUGH:
        return
    # Much of it is what compiling has freed already. Programs are forgotten, and made
    # anew by the tests to come, where that is not enough.
    trim()
    if resident_bytes() > KEPT or mappings() > MAPPINGS:
        jax.clear_caches()
        gc.collect()
        trim()
