"""Shares of a change add up to it, and are those that game theory gives."""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc import taylor
from jaxcirc.models import head_masks
from jaxcirc.objectives import CrossEntropy
from jaxcirc.tasks import Batch

from .._wide import double_precision
from .made import TOKENS, between, ends

BATCH = Batch(
    jnp.asarray(TOKENS), jnp.asarray(np.roll(TOKENS, 1)), jnp.ones((2, 5), bool)
)


def loss(model):
    return CrossEntropy().mean(model, BATCH)


def test_the_second_order_is_the_shapley_value_of_the_quadratic_game():
    with double_precision():
        draw = np.random.default_rng(0).standard_normal
        H, g, d = (jnp.asarray(draw(s)) for s in ((7, 7), 7, 7))
        H = H + H.T
        names = "abcdefg"
        fn = lambda w: (lambda v: g @ v + v @ H @ v / 2)(jnp.stack(list(w.values())))
        zero = dict.fromkeys(names, jnp.zeros(()))
        end = dict(zip(names, d, strict=True))
        found = taylor.attribute(fn, zero, end, order=2)
        worth = np.zeros(7)
        for number in range(7):
            others = [i for i in range(7) if i != number]
            for size in range(7):
                weight = math.factorial(size) * math.factorial(6 - size) / 5040
                for chosen in itertools.combinations(others, size):
                    without = np.zeros(7)
                    without[list(chosen)] = 1
                    with_it = without.copy()
                    with_it[number] = 1
                    game = lambda v: float(g @ (v * d) + (v * d) @ H @ (v * d) / 2)
                    worth[number] += weight * (game(with_it) - game(without))
        np.testing.assert_allclose(list(found.total().values()), worth, atol=1e-12)
        assert abs(found.residual) < 1e-12


# A head is a part of a tensor of a layer, so its groups are the hardest to add up.
@pytest.mark.parametrize(
    "groups",
    [
        "heads",
        *(pytest.param(g, marks=pytest.mark.slow) for g in ("tensors", "layers")),
    ],
)
def test_groups_add_up_to_the_coefficients_of_the_loss(groups):
    with double_precision():
        base, tuned = ends(d_mlp=12, scale=0.1)
        found = taylor.attribute(loss, base, tuned, groups=groups, order=2)
        series = taylor.expand(loss, base, tuned, order=2, engine="nested")
        want = series.coefficients[1:]
        np.testing.assert_allclose(found.values.sum(axis=1), want, rtol=1e-10)
        assert found.path == "start"


def test_higher_orders_are_shared_out_by_two_engines():
    with double_precision():
        base, tuned = ends(n_layers=1, norm="none", scale=0.1)
        square = lambda model: jnp.square(model(BATCH.tokens)).mean()
        want = taylor.expand(square, base, tuned, order=3, engine="nested")
        found = [
            taylor.attribute(square, base, tuned, order=3, engine=engine).values
            for engine in ("nested", "gradient")
        ]
        np.testing.assert_allclose(found[0], found[1], rtol=1e-10, atol=1e-14)
        total = found[0].sum(axis=1)
        np.testing.assert_allclose(total, want.coefficients[1:], rtol=1e-10)
        with pytest.raises(ValueError, match="rule of its own.*engine='nested'"):
            taylor.attribute(loss, base, tuned, order=3, engine="gradient")


def test_nodes_on_the_path_find_the_whole_change():
    with double_precision():
        base, tuned = ends(d_mlp=12, scale=0.2)
        by_nodes = {
            n: taylor.attribute(loss, base, tuned, groups="heads", nodes=n)
            for n in (2, 16)
        }
        change = loss(tuned) - loss(base)
        assert float(by_nodes[16].change) == pytest.approx(float(change), rel=1e-12)
        assert abs(by_nodes[16].residual) < 1e-5 * abs(change)
        assert abs(by_nodes[16].residual) < abs(by_nodes[2].residual)
        assert by_nodes[16].path == "chord"
        heads = {"L0H0", "L0H1", "L1H0", "L1H1", "L0MLP", "L1MLP"}
        assert heads < set(by_nodes[16].names)


def test_another_path_has_other_shares_of_the_same_change():
    with double_precision():
        fn = lambda w: w["a"] * w["b"]
        point = lambda a, b: {"a": jnp.asarray(a), "b": jnp.asarray(b)}
        start, corner, end = point(0.0, 0.0), point(1.0, 0.0), point(1.0, 1.0)
        chord = taylor.attribute(fn, start, end, nodes=2)
        around = taylor.attribute(fn, start, end, nodes=2, through=[corner])
        np.testing.assert_allclose(chord.values, [0.5, 0.5], atol=1e-15)
        # First a moves, while b is 0 and nothing depends on it; then b does it all.
        np.testing.assert_allclose(around.values, [0.0, 1.0], atol=1e-15)
        assert around.path == "checkpoints"


def test_masks_leave_a_rest_and_must_not_overlap():
    with double_precision():
        base, tuned = ends(n_layers=1, scale=0.1)
        masks = head_masks(base)
        masked = taylor.attribute(loss, base, tuned, groups=masks, order=1)
        heads = taylor.attribute(loss, base, tuned, groups="heads", order=1)
        for name in masks:
            assert masked.total()[name] == pytest.approx(heads.total()[name])
        assert masked.values.sum() == pytest.approx(float(heads.values.sum()))
        shared = {"one": masks["L0H0"], "two": masks["L0H0"]}
        with pytest.raises(ValueError, match="groups overlap in 'blocks.attn.W_Q'"):
            taylor.attribute(loss, base, tuned, groups=shared, order=1)


def test_key_heads_that_are_shared_are_groups_of_their_own():
    base, tuned = ends(n_layers=1, n_heads=4, n_kv_heads=2, d_head=4)
    names = taylor.attribute(loss, base, tuned, groups="heads", order=1).names
    assert {"L0H3", "L0KV1"} < set(names)
    assert "L0H4" not in names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": "head"}, "one of tensors, layers, heads"),
        ({"nodes": 0}, "`nodes` must be at least 1"),
        ({"order": 0}, "from 1 to 24"),
        ({"order": 1, "through": [jnp.zeros(2)]}, "sees no weights in between"),
        ({"loss": lambda w: 2 * w}, "must give one number"),
        ({"loss": lambda w: jnp.log(w.sum())}, "not finite at one of the ends"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(change, message):
    given = {"loss": lambda w: w.sum(), "nodes": 2} | change
    with pytest.raises(ValueError, match=message):
        taylor.attribute(given.pop("loss"), jnp.zeros(2), jnp.ones(2), **given)


def test_a_bowl_has_no_barrier_and_equal_models_have_none():
    bowl = lambda w: jnp.square(w).sum()
    chord = taylor.barrier(bowl, -jnp.ones(3), 2 * jnp.ones(3))
    assert float(chord.barrier) == 0.0
    same = taylor.barrier(bowl, jnp.ones(3), jnp.ones(3))
    assert float(same.barrier) == 0.0
    with pytest.raises(ValueError, match="at least 2"):
        taylor.barrier(bowl, jnp.ones(3), jnp.ones(3), points=1)


def test_the_linearised_model_adds_task_vectors_and_trains():
    with double_precision():
        base, one = ends(n_layers=1, scale=0.5)
        two = between(base, one, -0.7)
        linear = taylor.tangent(lambda m, tokens: m(tokens), base)
        call = eqx.filter_jit(lambda f, m: f(m, TOKENS))
        both = jax.tree.map(lambda w, a, b: a + b - w, base, one, two)
        np.testing.assert_allclose(
            call(linear, both),
            call(linear, one) + call(linear, two) - call(linear, base),
            atol=1e-12,
        )
        np.testing.assert_allclose(call(linear, base), base(TOKENS), atol=1e-13)


def test_the_polynomial_is_the_series_and_has_its_gradient():
    with double_precision():
        fn = lambda w: jnp.exp(w["a"]) * w["b"]
        start = {"a": jnp.zeros(()), "b": jnp.ones(())}
        poly = taylor.tangent(fn, start, order=2)
        a, b = 0.3, 0.2
        here = {"a": jnp.asarray(a), "b": jnp.asarray(1 + b)}
        assert float(poly(here)) == pytest.approx(1 + a + b + a**2 / 2 + a * b)
        slope = jax.grad(lambda w: poly(w))(here)
        assert float(slope["a"]) == pytest.approx(1 + a + b)
        assert float(slope["b"]) == pytest.approx(1 + a)
        with pytest.raises(ValueError, match="from 0 to 24"):
            taylor.tangent(fn, start, order=-1)
