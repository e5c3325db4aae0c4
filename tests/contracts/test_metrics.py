"""Every row of the metric catalogue: known values, invariances and the rest."""

import functools
import math

import hypothesis
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import strategies as st

from jaxcirc.metrics import METRICS, Similarity, singular_values


def rows(keep=lambda spec: True):
    kept = [spec for spec in METRICS if keep(spec)]
    return pytest.mark.parametrize("spec", kept, ids=lambda spec: spec.name)


ROWS = rows()
SPECTRAL = rows(lambda spec: spec.kind == "spectrum")
SIMILARITIES = rows(lambda spec: spec.kind == "similarity")
PAIRED = ("change", "similarity")
# Large samples whose gradient or vmap would only cost time.
SHAPE = (12, 5)


def value(result):
    return result.value if isinstance(result, Similarity) else result


def arguments(spec, seed=0, shape=SHAPE):
    x, y = jr.normal(jr.key(seed), (2, *shape))
    # Related, as checkpoints are, so that no similarity is near nothing.
    return (x, x + 0.5 * y) if spec.kind in PAIRED else (x,)


def orthogonal(n, seed):
    return jnp.linalg.qr(jr.normal(jr.key(seed), (n, n)))[0]


def times(*factors):
    return functools.reduce(functools.partial(jnp.matmul, precision="highest"), factors)


@ROWS
def test_known_values(spec):
    for known in spec.known:
        found = float(value(spec.fn(*known.args())))
        assert found == pytest.approx(
            known.value, rel=known.tolerance, abs=known.tolerance
        )


@ROWS
def test_a_row_says_what_it_is(spec):
    assert spec.summary
    assert len(spec.summary) < 80
    assert spec.name.isidentifier()
    assert spec.fn.__doc__
    assert (spec.of_spectrum is not None) == (spec.kind == "spectrum")
    assert (spec.compare is not None) == (spec.kind == "similarity")
    assert spec.known or spec.name == "heavy_tail_ks"


# Families of matrices that break naive formulas.
MATRICES = {
    "normal": lambda x: x,
    "rank_one": lambda x: x[:, :1] * x[:1],
    "tiny": lambda x: 1e-12 * x,
    "huge": lambda x: 1e12 * x,
    "offset": lambda x: x + 100,
    "wide": lambda x: x.T,
    "sparse": lambda x: jnp.where(x > 1, x, 0),
}


@ROWS
@pytest.mark.parametrize("family", MATRICES)
@hypothesis.given(seed=st.integers(0, 2**16))
@hypothesis.settings(max_examples=3, deadline=None)
def test_values_stay_within_their_bounds(spec, family, seed):
    if spec.name in ("svcca", "pwcca") and family == "wide":
        with pytest.raises(ValueError, match="more examples"):
            spec.fn(*(x.T for x in arguments(spec, seed)))
        return
    args = [MATRICES[family](x) for x in arguments(spec, seed)]
    found = float(value(spec.fn(*args)))
    if math.isnan(found):
        # No tail of eight values in a 12 × 5 matrix; and no direction without length.
        assert spec.name.startswith("heavy_tail") or family in ("rank_one", "sparse")
        return
    low, high = spec.bounds
    assert found >= low - 1e-5
    assert high is None or found <= high + 1e-5


@ROWS
def test_a_zero_array_has_the_documented_value(spec):
    args = [jnp.zeros_like(x) for x in arguments(spec)]
    found = float(value(spec.fn(*args)))
    assert found == pytest.approx(spec.at_zero, nan_ok=True)


@ROWS
@hypothesis.given(seed=st.integers(0, 2**16), c=st.floats(0.01, 100))
@hypothesis.settings(max_examples=4, deadline=None)
def test_stated_invariances_hold(spec, seed, c):
    args = arguments(spec, seed)
    before = float(value(spec.fn(*args)))
    x, rest = args[0], args[1:]
    turn = orthogonal(x.shape[1], seed + 1)
    mix = turn + 0.3 * orthogonal(x.shape[1], seed + 2)
    order = jr.permutation(jr.key(seed + 3), x.shape[0])
    c = jnp.float32(c)
    changed = {
        "scale": lambda: (c * x, *rest),
        "common_scale": lambda: tuple(c * z for z in args),
        "sign": lambda: (-x, *rest),
        "rotation": lambda: (times(orthogonal(x.shape[0], seed), x, turn), *rest),
        "order": lambda: (jr.permutation(jr.key(seed), x.ravel()).reshape(x.shape),),
        "transpose": lambda: (x.T,),
        "translation": lambda: (x + c * jnp.ones((1, x.shape[1])), *rest),
        "feature_rotation": lambda: (times(x, turn), *rest),
        "invertible_x": lambda: (times(x, mix), *rest),
        "invertible_y": lambda: (x, times(args[1], mix)),
        "example_order": lambda: tuple(z[order] for z in args),
        "exchange": lambda: args[::-1],
    }
    for name in spec.invariant_to:
        after = float(value(spec.fn(*changed[name]())))
        assert after == pytest.approx(before, rel=2e-3, abs=2e-4, nan_ok=True), name


@ROWS
def test_jit_equals_eager_and_vmap_equals_loop(spec):
    # Wide enough that a heavy tail has its eight values.
    shape = (24, 10)
    several = [arguments(spec, seed, shape) for seed in range(3)]
    stacked = [jnp.stack(parts) for parts in zip(*several, strict=True)]
    together = jax.vmap(spec.fn)(*stacked)
    jitted = jax.jit(lambda *a: spec.fn(*a))  # a cache of its own
    for i, args in enumerate(several):
        eager, compiled = spec.fn(*args), jitted(*args)
        for a, b, c in zip(
            *map(jax.tree.leaves, (eager, compiled, together)), strict=True
        ):
            assert float(a) == pytest.approx(float(b), rel=1e-4, abs=1e-6)
            assert float(a) == pytest.approx(float(c[i]), rel=1e-4, abs=1e-6)
    assert jitted._cache_size() == 1


@ROWS
def test_bfloat16_is_computed_and_reported_in_float32(spec):
    args = [x.astype(jnp.bfloat16) for x in arguments(spec, shape=(24, 10))]
    found = value(spec.fn(*args))
    assert found.dtype == jnp.float32
    exact = float(value(spec.fn(*(x.astype(jnp.float32) for x in args))))
    assert float(found) == pytest.approx(exact, rel=1e-5)


@rows(lambda spec: spec.smooth and not spec.counts)
def test_gradients_are_finite(spec):
    args = arguments(spec, shape=(24, 10))
    gradient = jax.grad(lambda *a: value(spec.fn(*a)))(*args)
    assert jnp.isfinite(gradient).all()
    assert jnp.abs(gradient).max() > 0


@pytest.mark.parametrize("name", ["effective_rank", "stable_rank", "gini", "hoyer"])
def test_gradients_are_finite_at_low_rank_and_zero(name):
    fn = next(spec.fn for spec in METRICS if spec.name == name)
    for x in (jnp.ones((4, 3)), jnp.eye(4)[:, :2]):
        assert jnp.isfinite(jax.grad(fn)(x)).all()


@SPECTRAL
def test_one_spectrum_serves_every_spectral_metric(spec):
    x = jr.normal(jr.key(0), (40, 30))
    direct = float(spec.fn(x))
    for method in ("svd", "gram", "auto"):
        shared = float(spec.of_spectrum(singular_values(x, method=method)))
        # The condition number squares what the Gram matrix loses.
        assert shared == pytest.approx(direct, rel=5e-3)


@SIMILARITIES
def test_similarities_come_with_their_chance_level(spec):
    n, p = 200, 12
    pairs = jr.normal(jr.key(5), (40, 2, n, p))
    found = jax.lax.map(lambda pair: spec.fn(pair[0], pair[1]), pairs)
    mean, chance = float(found.value.mean()), float(found.chance.mean())
    if spec.name in ("svcca", "pwcca"):
        # Stated as the root mean square; the mean lies below it.
        assert 0.8 * chance < mean < chance
    else:
        error = float(found.value.std()) / 40**0.5
        assert mean == pytest.approx(chance, abs=4 * error + 1e-3)


@SIMILARITIES
def test_similarities_refuse_what_cannot_be_compared(spec):
    x = jr.normal(jr.key(0), (20, 3))
    with pytest.raises(ValueError, match=f"{spec.name}.*same examples"):
        spec.fn(x, x[:10])
    with pytest.raises(ValueError, match=f"{spec.name}.*at least 4 examples"):
        spec.fn(x[:3], x[:3])


@rows(lambda spec: not spec.counts)
def test_not_a_number_in_gives_not_a_number_out(spec):
    args = arguments(spec, shape=(24, 10))
    args = (args[0].at[0, 0].set(jnp.nan), *args[1:])
    assert np.isnan(float(value(spec.fn(*args))))
