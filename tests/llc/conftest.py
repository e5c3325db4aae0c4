import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_programs():
    """Every chain is a large program, and a process can map only so many of them."""
    yield
    jax.clear_caches()
