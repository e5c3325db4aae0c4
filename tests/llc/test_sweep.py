import os
import pathlib
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.sharding import Mesh

from jaxcirc import llc
from jaxcirc.llc import truth
from jaxcirc.llc._program import sample_cells

from .._children import quick
from .problems import ONE, at_zero, quadratic, regression

ROOT = pathlib.Path(__file__).parents[2]
OPTIONS = {
    "num_chains": 4,
    "num_draws": 6,
    "num_burnin": 5,
    "steps_between_draws": 2,
    "batch_size": 20,
}
GRID = {"step_size": [1e-4, 1e-3], "n_beta": [5.0, 50.0]}
MASKS = {
    "all": jnp.ones(3, bool),
    "first": jnp.array([True, False, False]),
}
STEPS = [0, 10, 400]


def _sweep(steps=STEPS, **change):
    loss, w, data, _ = regression()
    models = jnp.stack([w + 0.01 * step / 400 for step in steps])
    options = {"grid": GRID, "masks": MASKS, "seeds": [0, 7]} | OPTIONS | change
    return llc.sweep(
        loss, models, data, llc.SGLD(1.0), steps=steps, key=jr.key(0), **options
    )


def _traces(found):
    return np.stack([e.trace for e in found.estimates.flat])


@pytest.fixture(scope="module")
def whole():
    return _sweep(strategy="map", mesh=Mesh(np.array(jax.devices()[:1]), ("chain",)))


@pytest.mark.parametrize(
    "change",
    [
        {"strategy": "vmap"},
        {"strategy": "auto"},
        {"strategy": {"checkpoint": "vmap", "chain": "vmap"}},
        {"strategy": {"n_beta": "vmap"}},
        {"strategy": "vmap", "max_memory": 60_000},
        {"mesh": 4, "strategy": "map"},
        {"mesh": 2, "strategy": "vmap"},
    ],
    ids=str,
)
def test_how_it_is_executed_changes_no_number(whole, change):
    if "mesh" in change:
        devices = np.array(jax.devices()[: change["mesh"]])
        change = change | {"mesh": Mesh(devices, ("chain",))}
    np.testing.assert_allclose(
        _traces(_sweep(**change)), _traces(whole), rtol=2e-4, atol=2e-4
    )


def test_a_place_does_not_depend_on_what_else_is_swept(whole):
    other = _sweep(
        steps=[400, 0],
        seeds=[7],
        masks=None,
        grid={"step_size": [1e-3], "n_beta": [50.0]},
    )
    some = llc.sweep(
        *_args(400),
        llc.SGLD(1e-3),
        steps=[400],
        grid={"n_beta": [50.0]},
        seeds=[7],
        key=jr.key(0),
        **OPTIONS,
    )
    a = some.sel(checkpoint=400, n_beta=50.0, seed=7)
    b = whole.sel(checkpoint=400, step_size=1e-3, n_beta=50.0, mask="all", seed=7)
    np.testing.assert_allclose(a.trace, b.trace, rtol=2e-4, atol=2e-4)
    c = other.sel(checkpoint=400, step_size=1e-3, n_beta=50.0, seed=7)
    np.testing.assert_allclose(c.trace, b.trace, rtol=2e-4, atol=2e-4)
    # `estimate` is the sweep without axes: checkpoint and seed 0.
    loss, w, data, _ = regression()
    one = llc.estimate(
        loss, w, data, llc.SGLD(1e-3, n_beta=50.0), key=jr.key(0), **OPTIONS
    )
    zero = whole.sel(checkpoint=0, step_size=1e-3, n_beta=50.0, mask="all", seed=0)
    np.testing.assert_allclose(one.trace, zero.trace, rtol=2e-4, atol=2e-4)


def _args(step):
    loss, w, data, _ = regression()
    return loss, (w + 0.01 * step / 400)[None], data


def test_masks_and_settings_share_their_noise_and_seeds_do_not(whole):
    noise = whole.estimates[0, 0, 0, 0, 0].noise_norm
    np.testing.assert_allclose(
        whole.estimates[0, 1, 0, 0, 0].noise_norm, noise * np.sqrt(10), rtol=1e-5
    )
    assert not np.allclose(whole.estimates[0, 0, 0, 0, 1].noise_norm, noise)
    assert not np.allclose(whole.estimates[1, 0, 0, 0, 0].noise_norm, noise)


def test_a_mask_is_the_smaller_model():
    h = np.array([1.0, 0.3, 0.1])
    found = llc.sweep(
        quadratic,
        at_zero(h),
        ONE,
        llc.SGLD(5e-3, n_beta=100.0),
        masks={
            "first": {"w": jnp.array([True, False, False]), "h": False},
            "rest": {"w": jnp.array([False, True, True]), "h": False},
        },
        num_chains=32,
        num_draws=1000,
        num_burnin=2000,
        steps_between_draws=10,
        key=jr.key(0),
    )
    for name, kept in (("first", h[:1]), ("rest", h[1:])):
        exact = truth.quadratic(kept, n_beta=100.0, gamma=1.0, step_size=5e-3)
        one = found.sel(mask=name)
        assert one.dimension == len(kept)
        assert one.value == pytest.approx(exact, rel=0.03)


def test_everything_is_compiled_once():
    traced = 0
    base, w, data, _ = regression()

    def loss(w, batch):
        nonlocal traced
        traced += 1
        return base(w, batch)

    def go(step_size, n_beta):
        return llc.sweep(
            loss,
            jnp.stack([w] * 3),
            data,
            llc.SGLD(step_size),
            steps=STEPS,
            grid={"n_beta": n_beta},
            key=jr.key(0),
            **OPTIONS,
        )

    before = sample_cells._cached._cache_size()
    go(1e-4, [1.0, 2.0])
    assert sample_cells._cached._cache_size() == before + 1
    once = traced
    go(1e-3, [3.0, 40.0])
    assert sample_cells._cached._cache_size() == before + 1
    # Only shapes are looked at again, for the memory and the checks, one of which
    # compares two traces.
    assert traced == once + 4


def test_labels_and_xarray(whole):
    assert whole.values.shape == (3, 2, 2, 2, 2)
    data = whole.to_xarray()
    assert data["value"].dims == ("checkpoint", "step_size", "n_beta", "mask", "seed")
    assert data["trace"].shape == (3, 2, 2, 2, 2, 4, 6)
    here = {"checkpoint": 10, "step_size": 1e-4, "n_beta": 5.0, "mask": "first"}
    found = whole.sel(**here)
    assert isinstance(found, llc.Sweep)
    assert list(found.axes) == ["seed"]
    one = found.sel(seed=7)
    assert one.value == data["value"].sel(**here, seed=7).item()
    with pytest.raises(ValueError, match="no label 11"):
        whole.sel(checkpoint=11)
    with pytest.raises(ValueError, match="did you mean 'mask'"):
        whole.sel(maks="all")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": {"stepsize": [1.0]}}, "did you mean 'step_size'"),
        ({"grid": {"n_beta": [0.0]}}, "`n_beta` must be positive"),
        ({"grid": {"n_beta": []}}, "axis 'n_beta' of the sweep is empty"),
        ({"seeds": []}, "axis 'seed'"),
        ({"steps": [0, 0, 1]}, "twice"),
    ],
    ids=str,
)
def test_bad_axes_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        _sweep(**change)


def test_a_mesh_that_does_not_divide_is_refused():
    mesh = Mesh(np.array(jax.devices()[:3]), ("x",))
    one = {"grid": {}, "seeds": [0], "masks": None, "steps": [0]}
    with pytest.raises(ValueError, match="3 devices, which do not divide 4 chains"):
        _sweep(mesh=mesh, **one)


def test_checkpoints_of_different_shapes_are_refused():
    loss, w, data, _ = regression()
    with pytest.raises(ValueError, match=r"'b' is float32\[3\] in model 1"):
        llc.stack_models([{"b": jnp.zeros(2)}, {"b": jnp.zeros(3)}])
    with pytest.raises(ValueError, match="leading axis of 2 checkpoints"):
        llc.sweep(
            loss, w[None], data, llc.SGLD(1e-3), steps=[0, 1], key=jr.key(0), **OPTIONS
        )
    stacked = llc.stack_models([{"b": jnp.zeros(2)}, {"b": jnp.ones(2)}])
    assert stacked["b"].shape == (2, 2)


WORKER = """
import sys
import jax
jax.config.update("jax_num_cpu_devices", 2)
rank, port = int(sys.argv[1]), sys.argv[2]
if rank >= 0:
    jax.distributed.initialize(f"localhost:{port}", 2, rank)
import numpy as np
from jax.sharding import Mesh
sys.path.insert(0, sys.argv[3])
from tests.llc.test_sweep import _sweep, _traces
mesh = Mesh(np.array(jax.devices()), ("chain",)) if rank >= 0 else None
found = _traces(_sweep(mesh=mesh))
np.save(sys.argv[4], found)
"""


def test_two_processes_give_what_one_gives(tmp_path, whole):
    script = tmp_path / "worker.py"
    script.write_text(textwrap.dedent(WORKER))
    port = str(20_000 + os.getpid() % 20_000)
    env = quick(devices=False)
    workers = [
        subprocess.Popen(
            [sys.executable, script, str(rank), port, ROOT, tmp_path / f"{rank}.npy"],
            env=env,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=300)
        assert worker.returncode == 0, errors[-2000:]
    for rank in range(2):
        found = np.load(tmp_path / f"{rank}.npy")
        np.testing.assert_allclose(found, _traces(whole), rtol=2e-4, atol=2e-4)


def test_checkpoints_that_are_one_are_told():
    one, two = {"w": jnp.zeros(2)}, {"w": jnp.ones(2)}
    with pytest.warns(UserWarning, match="models 0 and 2 hold equal weights"):
        stacked = llc.stack_models([one, two, one])
    assert stacked["w"].shape == (3, 2)
