"""Strict settings for every test: shapes checked, no silent promotion, a cache."""

import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Set before JAX starts: the tests shard over several host devices.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)

import jax  # noqa: E402
import jaxtyping  # noqa: E402
import pytest  # noqa: E402

CACHE = pathlib.Path(__file__).parent / ".pytest_cache" / "xla"
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# An int where a float is expected is fine, as everywhere in Python.
jaxtyping.install_import_hook(
    ["jaxcirc", "tracr_bridge"],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_programs():
    """A process can map only so many compiled programs, and chains are large ones."""
    yield
    jax.clear_caches()
