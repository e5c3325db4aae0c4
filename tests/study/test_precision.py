"""Half-precision models are measured as well as those in float32."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc.models import Transformer, TransformerConfig
from jaxcirc.study import MEASUREMENTS, Chunk, PerChunk, Quantity, Snapshot
from jaxcirc.tasks import TASKS, AbstractTask

# Of one model alone, and of weights or derivatives: there half precision is no excuse.
OF_WEIGHTS = ("weights", "ov_qk", "gradients", "curvature", "llc")
AS_IT_RUNS = ("performance", "attention", "patterns", "logit_lens", "metrics")
OPTIONS = {
    "metrics": {
        "metric": ["effective_rank", "frobenius_norm"],
        "components": [
            "resid_post",
            "ov",
            "qk",
            "ov_velocity",
            {"component": "ov", "data": "gradients"},
            {"component": "blocks.attn.W_V", "data": "gradients"},
            {"component": "attn.z", "data": "gradients"},
        ],
        "reference": None,
    }
}


@pytest.fixture(scope="module")
def task() -> AbstractTask:
    spec = next(s for s in TASKS if s.name == "induction")
    return spec.build(**spec.tiny)


@pytest.fixture(scope="module")
def models(task) -> dict[str, Transformer]:
    """One model in bfloat16, and the same weights in float32."""
    config = TransformerConfig(
        d_vocab=task.d_vocab, n_ctx=task.n_ctx, d_model=16, n_heads=2, d_mlp=16
    )
    model = Transformer(config, key=jr.key(0))
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), model)
    return {
        "half": half,
        "single": jax.tree.map(lambda x: x.astype(jnp.float32), half),
    }


def measured(name: str, model: Transformer, task: AbstractTask) -> dict[str, Quantity]:
    spec = next(s for s in MEASUREMENTS if s.name == name)
    measure = spec.build(**(dict(spec.tiny) | OPTIONS.get(name, {})))
    if isinstance(measure, PerChunk):
        chunk = Chunk((1,), jax.tree.map(lambda x: x[None, None], model))
        return measure(chunk, task, key=jr.key(1)).quantities
    before = jax.tree.map(lambda x: 2 * x, model)
    shot = Snapshot(jnp.array(1), model, before, jnp.array(True))
    return eqx.filter_jit(measure)(shot, task, key=jr.key(1)).quantities


# Two programs of half a minute; in the fast tests is what makes their numbers alike.
SLOW = {"curvature"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
        for name in (*OF_WEIGHTS, *AS_IT_RUNS)
    ],
)
def test_a_model_in_bfloat16_is_measured_like_its_weights_in_float32(
    name, models, task
):
    half, single = (measured(name, models[k], task) for k in ("half", "single"))
    assert half.keys() == single.keys()
    for quantity, found in half.items():
        expected = np.asarray(single[quantity].values, np.float64)
        values = np.asarray(found.values)
        assert values.dtype == single[quantity].values.dtype
        assert not values.dtype.name.startswith("bfloat")
        # Eight bits of each operation, unless nothing ran in half precision.
        of_derivatives = name in OF_WEIGHTS or "gradient" in quantity
        share = 1e-3 if of_derivatives else 0.05
        size = np.nanmax(np.abs(expected)) if np.isfinite(expected).any() else 0
        np.testing.assert_allclose(
            values, expected, rtol=share, atol=share * size, err_msg=quantity
        )


def test_no_derivative_of_curvature_is_computed_in_half_precision(models, task):
    """The weights are widened, and nothing after that knows of another type."""
    spec = next(s for s in MEASUREMENTS if s.name == "curvature")
    measure, half = spec.build(**spec.tiny), models["half"]

    def program(model):
        shot = Snapshot(jnp.array(1), model, model, jnp.array(True))
        return measure(shot, task, key=jr.key(1)).quantities

    arrays, static = eqx.partition(half, eqx.is_array)
    traced = jax.make_jaxpr(lambda arrays: program(eqx.combine(arrays, static)))(arrays)
    widenings = [e for e in traced.eqns if jnp.bfloat16 in types(e.invars)]
    assert widenings
    assert {e.primitive.name for e in widenings} == {"convert_element_type"}
    assert not any(jnp.bfloat16 in types(e.outvars) for e in traced.eqns)


def types(variables) -> list:
    return [getattr(v.aval, "dtype", None) for v in variables]


def test_quantities_are_reported_in_float32_or_wider():
    for dtype, reported in (
        ("bfloat16", "float32"),
        ("float16", "float32"),
        ("float32", "float32"),
        ("int32", "int32"),
        ("bool", "bool"),
    ):
        assert Quantity(jnp.zeros(2, dtype), ("x",), "", "").values.dtype == reported
    wide = Quantity(np.zeros(2, np.float64), ("x",), "", "")
    assert wide.values.dtype == np.float64
