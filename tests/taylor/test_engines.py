"""All engines give the same coefficients of everything that they take."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import taylor
from jaxcirc.models import Add, Transformer, TransformerConfig
from jaxcirc.taylor import ENGINES

from .._wide import double_precision
from .made import BASE, TOKENS, between, ends

GQA = {"n_heads": 4, "n_kv_heads": 2, "d_head": 4, "positions": "rotary"}
# Between them, every part of a transformer.
PARTS = {
    "layer_norm": {"d_mlp": 12, "unembed_bias": True},
    "gated": {**GQA, "norm": "rms", "gated": True, "activation": "silu", "d_mlp": 12},
    "relu_parallel": {"d_mlp": 12, "activation": "relu", "parallel": True},
    "gemma": {
        **GQA,
        "norm": "rms_plus_one",
        "norm_position": "both",
        "qk_norm": "head",
        "attention_softcap": 2.0,
        "logit_softcap": 3.0,
        "window": (2, None),
        "activation": "gelu_tanh",
        "tied": True,
        "embedding_scale": 3.0,
        "d_mlp": 12,
    },
    "odd": {
        "norm": "layer_nonparametric",
        "positions": "rotary",
        "rotary_pairing": "interleaved",
        "rotary_fraction": 0.5,
        "scale_by_inverse_layer": True,
        "causal": False,
        "d_head": 8,
    },
    "after": {"norm": "rms", "norm_position": "after", "qk_norm": "all", "d_mlp": 12},
    "stream": {"norm_position": "stream", "d_mlp": 12},
    "bare": {"norm": "none"},
}


def largest_difference(parts, engine, order):
    """Between an engine and nested forward mode, in units of each coefficient."""
    base, tuned = ends(**parts)
    found = taylor.along(base, tuned, TOKENS, order=order, engine=engine).coefficients
    want = taylor.along(base, tuned, TOKENS, order=order, engine="nested").coefficients
    scale = np.abs(want).max(axis=(1, 2, 3))
    return (np.abs(found - want).max(axis=(1, 2, 3)) / scale).max()


# Engines round a few hundred products each in an order of their own.
ROUNDING = 3e-14


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_the_scan_agrees_on_every_part_of_a_model(parts):
    with double_precision():
        assert largest_difference(parts, "scan", 2) < ROUNDING


def test_jet_agrees_on_a_model_of_many_parts():
    with double_precision():
        assert largest_difference(PARTS["gated"], "jet", 2) < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["scan", "jet"])
@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_engines_agree_on_every_part_at_order_four(parts, engine):
    with double_precision():
        assert largest_difference(parts, engine, 4) < ROUNDING


@pytest.mark.parametrize("spec", ENGINES, ids=lambda spec: spec.name)
def test_every_engine_has_the_coefficients_of_a_known_series(spec):
    with double_precision():
        if spec.takes == "models":
            base, tuned = ends(n_layers=1, norm="none", attention_bias=False)
            zero = jax.tree.map(jnp.zeros_like, base)
            # From zero on, logits begin with the power that all factors have in common.
            series = taylor.along(zero, base, TOKENS, order=4, engine=spec.name)
            assert not series.coefficients[:2].any()
            np.testing.assert_allclose(
                series.coefficients[2],
                (base.W_E[TOKENS] + base.W_pos[None]) @ base.W_U,
                atol=1e-14,
            )
            return
        start, end = jnp.zeros(3), jnp.array([1.0, 2.0, -1.0])
        fn = lambda x: jnp.exp(x).sum()
        series = taylor.expand(fn, start, end, order=5, engine=spec.name)
        powers = [sum(float(x) ** j for x in end) for j in range(6)]
        factorials = [1, 1, 2, 6, 24, 120]
        want = np.array(powers) / factorials
        np.testing.assert_allclose(series.coefficients, want, rtol=1e-14)


@pytest.mark.parametrize("engine", ["scan", "jet", "nested"])
def test_a_program_without_inputs_has_the_same_coefficients(engine):
    base, tuned = ends(norm="none", scale=0.1)
    base, tuned = jax.tree.map(lambda x: x.astype(jnp.float32), (base, tuned))
    expanded = lambda b, t: (
        taylor.along(b, t, TOKENS, order=3, engine=engine).coefficients
    )
    want = expanded(base, tuned)
    # Nothing is an argument here: XLA may fold the whole program, and must not.
    found = jax.jit(lambda: expanded(base, tuned))()
    np.testing.assert_allclose(found, want, atol=1e-5)


@pytest.mark.parametrize("engine", ["scan", "jet", "nested"])
def test_edits_and_single_weights_move(engine):
    with double_precision():
        base, tuned = ends(d_mlp=12)
        edit = Add("blocks.1.hook_resid_pre", jnp.ones(8) / 3)
        series = taylor.along(
            base, tuned, TOKENS, over=("W_U",), edits=(edit,), engine=engine
        )
        assert series.degree() == 1
        want = base(TOKENS, edits=(edit,))
        np.testing.assert_allclose(series.coefficients[0], want, atol=1e-13)


def test_jet_tells_what_it_cannot_follow_and_who_can():
    # A rule of its own for the derivative, which jet does not see through.
    fn = lambda x: jax.nn.softplus(x).sum()
    start, end = jnp.zeros(3), jnp.ones(3)
    with pytest.raises(ValueError, match="engine='nested'"):
        taylor.expand(fn, start, end, engine="jet")
    with pytest.raises(ValueError, match="sort.*engine='nested'"):
        taylor.expand(jnp.sort, start, end, engine="jet")
    found = taylor.expand(fn, start, end, order=2, engine="nested").coefficients
    np.testing.assert_allclose(found, [3 * np.log(2), 1.5, 0.375], rtol=1e-6)


def test_limits_on_queries_and_keys_need_another_engine_on_older_jax():
    base, tuned = ends(n_layers=1, clip_qkv=0.2)
    given: Any = {"order": 1}
    want = taylor.along(base, tuned, TOKENS, engine="nested", **given).coefficients
    if jax.__version_info__ < (0, 11):
        with pytest.raises(ValueError, match="engine='nested'"):
            taylor.along(base, tuned, TOKENS, **given)
    else:
        found = taylor.along(base, tuned, TOKENS, **given).coefficients
        np.testing.assert_allclose(found, want, atol=1e-5)


def test_the_program_of_a_deep_model_is_that_of_a_shallow_one():
    def program(n_layers):
        config = TransformerConfig(**(BASE | {"n_layers": n_layers, "d_mlp": 12}))
        base = Transformer(config, key=jr.key(0))
        fn = lambda a, b: taylor.along(a, b, TOKENS, order=2).coefficients
        return str(jax.make_jaxpr(fn)(base, between(base, base, 0.5)))

    two, twelve = program(2).count("\n"), program(12).count("\n")
    assert twelve == two


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": -1}, "from 0 to 24; got -1"),
        ({"order": 25}, "from 0 to 24; got 25"),
        ({"engine": "jett"}, "did you mean 'jet'"),
        ({"over": ("W_Q",)}, "unknown parameter path 'W_Q'"),
        ({"tokens": np.zeros((1, 9), int)}, "9 tokens, but learned positions reach"),
        ({"tuned": ends(d_model=16)[0]}, "different configs"),
    ],
)
def test_what_cannot_be_expanded_is_refused(change, message):
    base, tuned = ends()
    given = {"base": base, "tuned": tuned, "tokens": TOKENS, "order": 2} | change
    with pytest.raises(ValueError, match=message):
        taylor.along(
            given.pop("base"), given.pop("tuned"), given.pop("tokens"), **given
        )


def test_weights_that_are_not_finite_or_of_another_type_are_named():
    base, tuned = ends()
    broken = eqx.tree_at(lambda m: m.W_U, tuned, tuned.W_U.at[0, 0].set(jnp.nan))
    with pytest.raises(ValueError, match="`tuned` holds numbers.*'W_U'"):
        taylor.along(base, broken, TOKENS)
    half = eqx.tree_at(lambda m: m.W_U, tuned, tuned.W_U.astype(jnp.bfloat16))
    with pytest.raises(ValueError, match="`W_U` is float32.*bfloat16"):
        taylor.along(base, half, TOKENS)
