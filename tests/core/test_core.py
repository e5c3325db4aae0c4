import subprocess
import sys

import jax
import jax.numpy as jnp
import jax.random as jr
import pytest

from jaxcirc._core import (
    find,
    fold_name,
    named_leaves,
    nearest,
    normal,
    select_paths,
    stack_trees,
    tree_bytes,
    unknown,
    write_atomically,
)
from jaxcirc.models import MODELS

HEAVY = (
    "torch",
    "transformers",
    "haiku",
    "plotly",
    "ray",
    "xarray",
    "pydantic",
    "pandas",
)


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_library_loads_nothing_heavy():
    code = (
        "import sys, jaxcirc, jaxcirc.models, jaxcirc.metrics, jaxcirc.tasks,"
        "jaxcirc.training, jaxcirc.checkpoints\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert python(code) == "[]"


def test_importing_the_library_adds_less_than_a_second_to_jax():
    def seconds(module: str) -> float:
        code = (
            "import time; began = time.perf_counter(); "
            f"import {module}; print(time.perf_counter() - began)"
        )
        return min(float(python(code)) for _ in range(3))

    assert seconds("jaxcirc") - seconds("jax") < 1


def test_configs_name_unknown_parts_without_a_type_checker():
    code = (
        "from jaxcirc.models import TransformerConfig\n"
        "try: TransformerConfig(d_vocab=3, n_ctx=3, activation='gelu_new')\n"
        "except ValueError as error: print(error)"
    )
    assert "unknown `activation` 'gelu_new'; did you mean 'gelu_tanh'?" in python(code)


def test_names_have_neighbours():
    assert nearest("atention", ["attention", "weights"]) == "attention"
    assert nearest("xyzzy", ["attention"]) is None
    message = unknown("thing", "wights", ["attention", "weights"])
    assert "did you mean 'weights'" in message
    assert "attention, weights" in message


def test_catalogues_find_rows_by_name():
    assert find(MODELS, "gpt2", kind="model").name == "gpt2"
    with pytest.raises(ValueError, match="unknown model 'gpt3'; did you mean 'gpt2'"):
        find(MODELS, "gpt3", kind="model")


def test_keys_follow_names_alone():
    key = jr.key(0)
    one, same, other = (fold_name(key, n) for n in ("a", "a", "b"))
    assert (jr.key_data(one) == jr.key_data(same)).all()
    assert (jr.key_data(one) != jr.key_data(other)).any()


TREE = {"a": {"w": jnp.zeros((2, 3)), "b": jnp.zeros(3)}, "c": [jnp.zeros(4), None]}


def test_leaves_have_dotted_names():
    assert list(named_leaves(TREE)) == ["a.b", "a.w", "c.0"]
    assert tree_bytes(TREE) == 4 * (6 + 3 + 4)


def test_patterns_select_leaves_and_what_is_below():
    def selected(*patterns):
        chosen = select_paths(TREE, patterns, what="freeze")
        flat = zip(named_leaves(TREE), jax.tree.leaves(chosen), strict=True)
        return [name for name, yes in flat if yes]

    assert selected("a") == ["a.b", "a.w"]
    assert selected("*.b", "c.*") == ["a.b", "c.0"]
    with pytest.raises(ValueError, match="freeze: unknown parameter path 'a.x'"):
        selected("a.x")


def test_stacked_trees_have_a_leading_axis():
    stacked = stack_trees([TREE, TREE])
    assert stacked["a"]["w"].shape == (2, 2, 3)


def test_files_are_replaced_whole(tmp_path):
    path = tmp_path / "file"
    write_atomically(str(path), b"one")
    write_atomically(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "inside").write_text("kept")
    with pytest.raises(OSError, match="cannot write"):
        write_atomically(str(path), b"new")  # a folder cannot be replaced by a file
    assert (path / "inside").read_text() == "kept"
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_tests_run_strictly():
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.zeros((2, 3)) + jnp.zeros(3)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (3, 2, 5, 2)])
def test_normal_numbers_are_those_of_jax_bit_for_bit(shape, dtype):
    found, expected = (draw(jr.key(3), shape, dtype) for draw in (normal, jr.normal))
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert bool((found == expected).all())


def test_layers_drawn_together_are_those_drawn_alone():
    keys = jr.split(jr.key(3), 4)
    together = jax.vmap(lambda key: normal(key, (3, 2, 5)))(keys)
    alone = jnp.stack([jr.normal(key, (3, 2, 5)) for key in keys])
    assert bool((together == alone).all())
