"""What theory says of series: where they end, how far they reach, how fast they err."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc import taylor
from jaxcirc.models import Add
from jaxcirc.taylor import Series

from .._wide import double_precision
from .made import TOKENS, between, ends, errors

DRAW = np.random.default_rng(3)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_a_deep_linear_net_ends_at_its_depth_and_not_before(depth):
    with double_precision():
        start = [jnp.asarray(DRAW.standard_normal((4, 4)) / 2) for _ in range(depth)]
        end = [w + jnp.asarray(DRAW.standard_normal((4, 4)) / 2) for w in start]

        def net(weights):
            x = jnp.eye(4)
            for w in weights:
                x = x @ w
            return x

        series = taylor.expand(net, start, end, order=depth + 2)
        error = errors(series, net(end))
        assert error[depth] < 1e-13
        assert error[depth - 1] > 1e-3
        assert series.degree() == depth
        assert series.status() == "polynomial"
        assert series.radius() == float("inf")


def test_a_net_of_squares_has_degree_three():
    with double_precision():
        start, end = (
            [jnp.asarray(DRAW.standard_normal((3, 3))) for _ in range(2)]
            for _ in range(2)
        )
        x = jnp.asarray(DRAW.standard_normal((5, 3)))
        net = lambda w: jnp.square(x @ w[0]) @ w[1]
        series = taylor.expand(net, start, end, order=5)
        assert series.degree() == 3
        assert errors(series, net(end))[3] < 1e-14


def test_linear_attention_has_degree_eight():
    with double_precision():
        x = jnp.asarray(DRAW.standard_normal((5, 4)))
        make = lambda: [jnp.asarray(DRAW.standard_normal((4, 4)) / 2) for _ in range(6)]

        def net(weights):
            E, Q, K, V, O, U = weights
            y = x @ E
            scores = (y @ Q) @ (y @ K).T
            return (y + scores @ (y @ V) @ O) @ U

        start, end = make(), make()
        series = taylor.expand(net, start, end, order=10)
        error = errors(series, net(end))
        assert series.degree() == 8
        assert error[8] < 1e-12 < 1e-3 < error[7]


@pytest.mark.parametrize(
    ("over", "degree"),
    [(("W_U",), 1), (("blocks.attn.W_V", "blocks.attn.W_O"), 2)],
)
def test_weights_behind_the_last_softmax_end_early(over, degree):
    with double_precision():
        base, tuned = ends(norm="none", n_layers=1)
        series = taylor.along(base, tuned, TOKENS, over=over)
        assert series.degree() == degree


@pytest.mark.parametrize(("layers", "degree"), [(1, 4), (2, 6)])
def test_frozen_attention_without_norms_has_degree_two_layers_plus_two(layers, degree):
    with double_precision():
        base, tuned = ends(norm="none", n_layers=layers, attention_bias=False)
        frozen = taylor.freeze(base, TOKENS)
        series = taylor.along(base, tuned, TOKENS, order=degree + 2, edits=frozen)
        error = errors(series, tuned(TOKENS, edits=frozen))
        assert series.degree() == degree
        assert error[degree] < 1e-13 < error[degree - 1]


def slopes(series, exact):
    """How the error grows with t, order by order."""
    t = np.array([1 / 16, 1 / 32])
    found = []
    for k in range(series.order):
        wrong = [float(jnp.linalg.norm(exact(x) - series.truncate(k)(x))) for x in t]
        found.append(np.log(wrong[0] / wrong[1]) / np.log(2))
    return found


def test_the_error_of_order_k_grows_with_the_power_k_plus_one():
    with double_precision():
        base, tuned = ends(d_mlp=12, scale=0.1)
        series = taylor.along(base, tuned, TOKENS, order=4)
        model = jax.jit(lambda t: between(base, tuned, t)(TOKENS))
        np.testing.assert_allclose(slopes(series, model), [1, 2, 3, 4], atol=0.1)


@pytest.mark.parametrize("site", ["embed", "resid_pre", "attn.z", "mlp.out"])
def test_the_same_holds_of_edits(site):
    with double_precision():
        model, _ = ends(d_mlp=12)
        shape = {"embed": (2, 5, 8), "attn.z": (2, 2, 5, 2, 4)}.get(site, (2, 2, 5, 8))
        delta = jnp.asarray(0.1 * np.random.default_rng(1).standard_normal(shape))
        series = taylor.at_sites(model, TOKENS, [Add(site, delta)], order=4)
        edited = jax.jit(lambda t: model(TOKENS, edits=(Add(site, t * delta),)))
        np.testing.assert_allclose(slopes(series, edited), [1, 2, 3, 4], atol=0.1)


def test_relus_are_polynomials_up_to_the_first_kink_and_wrong_behind():
    with double_precision():
        x = jnp.asarray(DRAW.standard_normal((6, 3)))
        make = lambda: [jnp.asarray(DRAW.standard_normal((3, 3))) for _ in range(3)]
        start, end = make(), make()
        end = jax.tree.map(lambda a, b: a + 0.3 * (b - a), start, end)

        def inputs(w):
            one = x @ w[0]
            two = jnp.maximum(one, 0) @ w[1]
            return one, two

        net = lambda w: jnp.maximum(inputs(w)[1], 0) @ w[2]
        places = np.linspace(0, 1, 4001)
        at = jax.jit(lambda t: jnp.concatenate(inputs(between(start, end, t))))
        signs = np.array([np.sign(at(t)) for t in places])
        kink = places[np.argmax((signs != signs[0]).any(axis=(1, 2)))]
        assert 0 < kink < 1
        series = taylor.expand(net, start, end, order=5)
        exact = lambda t: net(
            [a + t * (b - a) for a, b in zip(start, end, strict=True)]
        )
        before = jnp.linalg.norm(exact(0.99 * kink) - series(0.99 * kink))
        assert before < 1e-13
        assert jnp.linalg.norm(exact(1.0) - series(1.0)) > 1e-3


def test_a_model_with_relus_tells_its_first_kink():
    with double_precision():
        parts = {"norm": "none", "d_mlp": 3, "activation": "relu", "n_layers": 1}
        base, tuned = ends(scale=0.2, **parts)
        series = taylor.along(base, tuned, TOKENS[:1, :2], order=6)
        from jaxcirc.models import capture

        def signs(t):
            model = between(base, tuned, t)
            return jnp.sign(capture(model, TOKENS[:1, :2], ("mlp.pre",))[1]["mlp.pre"])

        kink = float(series.kink)
        assert kink < 1, "draw other weights"
        assert (signs(0.999 * kink) == signs(0.0)).all()
        assert not (signs(1.001 * kink) == signs(0.0)).all()
        assert series.status(1.0) == "kink"
        assert series.status(0.9 * kink) != "kink"


@pytest.mark.parametrize("kind", ["rms", "layer"])
def test_the_radius_of_a_norm(kind):
    with double_precision():
        n, eps = 16, 1e-5
        x, d = (jnp.asarray(DRAW.standard_normal(n)) for _ in range(2))
        centred = (lambda v: v - v.mean()) if kind == "layer" else (lambda v: v)

        def norm(v):
            v = centred(v)
            return v / jnp.sqrt(jnp.square(v).mean() + eps)

        series = taylor.expand(norm, x, x + d, order=24)
        length = jnp.square(centred(x)).sum() + n * eps
        want = float(jnp.sqrt(length) / jnp.linalg.norm(centred(d)))
        assert series.radius() == pytest.approx(want, rel=0.005)
        assert series.truncate(12).radius() == pytest.approx(want, rel=0.03)
        # The place itself is no guess: below it a series is inside, beyond outside.
        assert series.status(0.9 * want) == "inside"
        assert series.status(1.1 * want) == "outside"


@pytest.mark.parametrize("z", [(0.5, 1.0), (-1.5, 2.0), (3.0, -1.2)])
@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "loss"])
def test_the_radius_of_two_keys(kind, z):
    with double_precision():
        fns = {
            "softmax": lambda v: jax.nn.softmax(v),
            "sigmoid": lambda v: jax.nn.sigmoid(v[0] - v[1]),
            "loss": lambda v: -jax.nn.log_softmax(v)[0],
        }
        ends_ = jnp.array([z[0], 0.0]), jnp.array([z[0] + z[1], 0.0])
        series = taylor.expand(fns[kind], *ends_, order=24)
        want = np.hypot(z[0], np.pi) / abs(z[1])
        assert series.radius() == pytest.approx(want, rel=0.005)


@pytest.mark.parametrize(
    "fn",
    [lambda x: 1 / (1 + x * x), lambda x: x / (1 + x * x), lambda x: 1 / (1 - x)],
    ids=["even", "odd", "one pole"],
)
@pytest.mark.parametrize("order", [4, 5, 12])
def test_functions_whose_every_second_coefficient_is_zero_have_a_radius(fn, order):
    with double_precision():
        series = taylor.expand(fn, jnp.zeros(()), jnp.full((), 2.0), order=order)
        assert series.degree() is None
        assert series.radius() == pytest.approx(0.5, rel=0.5 if order < 12 else 1e-3)
        assert series.status() == "outside"


def test_the_start_is_the_model_and_no_direction_moves_nothing():
    with double_precision():
        base, tuned = ends(d_mlp=12)
        series = taylor.along(base, tuned, TOKENS, order=3)
        assert (series(0.0) == series.coefficients[0]).all()
        np.testing.assert_allclose(series(0.0), base(TOKENS), atol=1e-13)
        still = taylor.along(base, base, TOKENS, order=3)
        assert not still.coefficients[1:].any()
        assert still.status() == "unmoved"


def test_coefficients_scale_with_powers_of_the_direction():
    with double_precision():
        base, tuned = ends(d_mlp=12)
        one = taylor.along(base, tuned, TOKENS, order=3).coefficients
        two = taylor.along(
            base, between(base, tuned, 2.0), TOKENS, order=3
        ).coefficients
        for j in range(4):
            np.testing.assert_allclose(two[j], 2.0**j * one[j], rtol=1e-9, atol=1e-11)


def test_a_path_read_backwards_agrees_in_between():
    with double_precision():
        base, tuned = ends(scale=0.01, d_mlp=12)
        forwards = taylor.along(base, tuned, TOKENS, order=6)
        backwards = taylor.along(tuned, base, TOKENS, order=6)
        for t in (0.25, 0.5):
            np.testing.assert_allclose(forwards(t), backwards(1 - t), atol=1e-7)


def test_low_rank_factors_that_begin_at_zero_move_one_at_a_time():
    with double_precision():
        draw = lambda *shape: jnp.asarray(DRAW.standard_normal(shape))
        X, A, dA, dB = draw(5, 4), draw(4, 2), draw(4, 2), draw(2, 3)
        start, end = (A, jnp.zeros((2, 3))), (A + dA, dB)
        series = taylor.expand(lambda w: X @ w[0] @ w[1], start, end, order=4)
        c = series.coefficients
        np.testing.assert_allclose(c[1], X @ A @ dB, atol=1e-14)
        np.testing.assert_allclose(c[2], X @ dA @ dB, atol=1e-14)
        assert not c[3].any()
        assert np.linalg.matrix_rank(end[0] @ end[1]) <= 2


def test_a_quadratic_loss_is_its_second_order_however_far():
    with double_precision():
        H = jnp.asarray(DRAW.standard_normal((4, 4)))
        loss = lambda w: w @ H @ H.T @ w / 2
        start, end = (jnp.asarray(DRAW.standard_normal(4)) for _ in range(2))
        far = start + 1e3 * (end - start)
        series = taylor.expand(loss, start, far, order=4)
        assert series.degree() == 2
        assert float(series(1.0)) == pytest.approx(float(loss(far)), rel=1e-12)


def test_too_few_orders_give_no_radius_and_values_are_needed_for_one():
    short = Series(jnp.array([[1.0], [1.0], [0.5]]))
    assert np.isnan(short.radius())
    assert short.status() == "unknown"
    with pytest.raises(ValueError, match="traced"):
        jax.jit(lambda c: Series(c).radius())(jnp.ones((5, 2)))
    with pytest.raises(ValueError, match="of a series of order 2"):
        short.truncate(3)


def test_float32_has_the_coefficients_of_float64():
    with double_precision():
        base, tuned = ends(n_layers=1, d_mlp=12)
        wide = taylor.along(base, tuned, TOKENS, order=5).coefficients
        wide = np.asarray(wide)
    cut = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), jnp.float32), (base, tuned))
    narrow = np.asarray(taylor.along(cut[0], cut[1], TOKENS, order=5).coefficients)
    for j in range(6):
        error = np.linalg.norm(narrow[j] - wide[j]) / np.linalg.norm(wide[j])
        assert error < 1e-4, j
