"""Gradients, curvature, Fisher and tangent kernels of models solved by hand."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import metrics

X = jr.normal(jr.key(0), (12, 4))
Y = jr.normal(jr.key(1), (12,))
W = {"w": jr.normal(jr.key(2), (4,))}


def squared(params, examples):
    x, y = examples
    return (x @ params["w"] - y) ** 2 / 2


def test_statistics_are_those_of_the_gradients_written_out():
    found = metrics.gradient_statistics(squared, W, (X, Y))
    each = np.asarray((X @ W["w"] - Y)[:, None] * X, np.float64)
    mean = each.mean(axis=0)
    np.testing.assert_allclose(found.mean["w"], mean, rtol=1e-4, atol=1e-5)
    assert float(found.norm) == pytest.approx(np.linalg.norm(mean), rel=1e-4)
    squares = (each**2).sum(axis=1)
    assert float(found.example_norm) == pytest.approx(np.sqrt(squares.mean()), rel=1e-4)
    units = each / np.linalg.norm(each, axis=1, keepdims=True)
    cosines = (units @ units.T)[np.triu_indices(12, 1)]
    assert float(found.example_cosine) == pytest.approx(cosines.mean(), abs=1e-5)
    noise = each.var(axis=0, ddof=1).sum()
    signal = (mean**2).sum() - noise / 12
    assert float(found.noise_scale) == pytest.approx(noise / signal, rel=1e-3)


def test_duplicated_examples_agree_and_have_no_noise():
    batch = (jnp.repeat(X[:1], 5, axis=0), jnp.repeat(Y[:1], 5))
    found = metrics.gradient_statistics(squared, W, batch)
    assert float(found.example_cosine) == pytest.approx(1, abs=1e-5)
    assert float(found.noise_scale) == pytest.approx(0, abs=1e-5)
    with pytest.raises(ValueError, match="at least 2 examples"):
        metrics.gradient_statistics(squared, W, (X[:1], Y[:1]))


def test_the_noise_scale_of_a_known_noise():
    # g = G + σ ε in d dimensions: d σ² / |G|².
    d, sigma, n = 50, 2.0, 4000
    signal = jnp.full(d, 0.5)
    noise = sigma * jr.normal(jr.key(3), (n, d))
    linear = lambda w, g: g @ w
    found = metrics.gradient_statistics(linear, jnp.zeros(d), signal[None] + noise)
    assert float(found.noise_scale) == pytest.approx(d * sigma**2 / 12.5, rel=0.1)


def test_examples_without_gradient_have_no_direction():
    project = lambda w, x: x @ w  # the gradient of an example is itself
    some = jnp.array([[3.0, 0.0], [0.0, 0.0], [4.0, 0.0]])
    found = metrics.gradient_statistics(project, jnp.zeros(2), some)
    assert float(found.example_cosine) == pytest.approx(1)
    found = metrics.gradient_statistics(project, jnp.zeros(2), some[:2])
    assert jnp.isnan(found.example_cosine)


def test_cosine_of_trees():
    a = {"u": jnp.array([1.0, 0.0]), "v": jnp.array([1.0])}
    b = {"u": jnp.array([0.0, 2.0]), "v": jnp.array([2.0])}
    assert float(metrics.gradient_cosine(a, b)) == pytest.approx(0.5)
    assert float(metrics.gradient_cosine(a, a)) == pytest.approx(1)


def quadratic(matrix):
    """Half of wᵀ M w, weighed by examples whose mean is 1."""

    def objective(p, examples):
        w = jnp.concatenate([p["a"], p["b"]])
        return examples * (w @ matrix @ w) / 2

    return objective, {"a": jnp.ones(4), "b": jnp.ones(5)}, jnp.array([0.5, 1.5])


def symmetric(seed):
    a = jr.normal(jr.key(seed), (9, 9))
    return a + a.T


def test_lanczos_finds_the_eigenvalues_of_a_quadratic():
    matrix = symmetric(0)
    problem = quadratic(matrix)
    exact = np.linalg.eigvalsh(np.asarray(matrix, np.float64))[::-1]
    top = metrics.hessian_top_eigenvalues(
        *problem, num_eigenvalues=3, num_nodes=9, key=jr.key(0)
    )
    np.testing.assert_allclose(top, exact[:3], rtol=1e-3)
    with pytest.raises(ValueError, match="num_nodes"):
        metrics.hessian_top_eigenvalues(
            *problem, num_eigenvalues=5, num_nodes=3, key=jr.key(0)
        )


def test_the_trace_is_exact_for_a_diagonal_and_unbiased_otherwise():
    diagonal = jnp.diag(jnp.arange(9.0))
    problem = quadratic(diagonal)
    trace = metrics.hessian_trace(*problem, num_probes=1, key=jr.key(0))
    assert float(trace) == pytest.approx(36, rel=1e-5)
    matrix = symmetric(1)
    problem = quadratic(matrix)
    trace = metrics.hessian_trace(*problem, num_probes=4000, key=jr.key(0))
    off = np.asarray(matrix - jnp.diag(jnp.diag(matrix)))
    error = np.sqrt(2 * (off**2).sum() / 4000)
    assert float(trace) == pytest.approx(float(jnp.trace(matrix)), abs=float(4 * error))


def test_the_density_integrates_to_one_and_has_the_mean_of_the_spectrum():
    matrix = symmetric(2)
    problem = quadratic(matrix)
    found = metrics.hessian_quadrature(
        *problem, num_nodes=9, num_probes=400, key=jr.key(0)
    )
    at = jnp.linspace(-20, 20, 4001)
    density = np.asarray(metrics.spectral_density(found, at, width=0.3), np.float64)
    assert np.trapezoid(density, at) == pytest.approx(1, abs=1e-3)
    mean = np.trapezoid(density * at, at)
    assert mean == pytest.approx(float(jnp.trace(matrix)) / 9, abs=0.1)


def logits(params, x):
    return x @ params["W"]


def test_the_fisher_of_a_softmax_is_known_and_is_not_the_empirical_one():
    params = {"W": jr.normal(jr.key(3), (4, 6))}
    p = np.asarray(jax.nn.softmax(X @ params["W"]), np.float64)
    lengths = (np.asarray(X, np.float64) ** 2).sum(axis=1)
    exact = ((1 - (p**2).sum(axis=1)) * lengths).mean()
    found = float(metrics.fisher_trace(logits, params, X))
    assert found == pytest.approx(exact, rel=1e-4)
    drawn = metrics.fisher_trace(logits, params, X, num_samples=3000, key=jr.key(0))
    assert float(drawn) == pytest.approx(exact, rel=0.05)
    labels = jnp.argmin(X @ params["W"], axis=1)  # as wrong as can be

    def loss(params, examples):
        x, label = examples
        log_p = jax.nn.log_softmax(logits(params, x))
        return -log_p[jnp.arange(len(x)), label]

    empirical = float(metrics.empirical_fisher_trace(loss, params, (X, labels)))
    one_hot = np.eye(6)[np.asarray(labels)]
    assert empirical == pytest.approx(
        (((one_hot - p) ** 2).sum(axis=1) * lengths).mean(), rel=1e-4
    )
    assert empirical > 1.5 * exact
    with pytest.raises(ValueError, match="key"):
        metrics.fisher_trace(logits, params, X, num_samples=3)


def test_the_fisher_is_the_gauss_newton_matrix():
    params = {"W": jr.normal(jr.key(3), (4, 6))}

    def curvature(x):
        p = jax.nn.softmax(logits(params, x))
        jacobian = jax.jacobian(logits)(params, x)["W"].reshape(6, -1)
        return jnp.trace(jacobian.T @ (jnp.diag(p) - jnp.outer(p, p)) @ jacobian)

    expected = float(jax.vmap(curvature)(X).mean())
    assert float(metrics.fisher_trace(logits, params, X)) == pytest.approx(
        expected, rel=1e-4
    )


def test_the_kernel_of_a_linear_model_is_its_gram_matrix():
    linear = lambda p, x: x @ p["w"]
    kernel = metrics.empirical_ntk(linear, W, X)
    np.testing.assert_allclose(kernel, X @ X.T, rtol=1e-4, atol=1e-5)
    params = {"W": jr.normal(jr.key(3), (4, 6))}
    several = metrics.empirical_ntk(logits, params, X)  # summed over six outputs
    np.testing.assert_allclose(several, 6 * X @ X.T, rtol=1e-4, atol=1e-4)


def test_the_kernel_is_the_product_of_jacobians_and_positive():
    params = {"u": jr.normal(jr.key(4), (4, 7)), "v": jr.normal(jr.key(5), (7, 2))}
    net = lambda p, x: jnp.tanh(x @ p["u"]) @ p["v"]
    kernel = metrics.empirical_ntk(net, params, X)
    jacobian = jax.jacobian(net)(params, X)
    rows = jnp.concatenate([leaf.reshape(12, 2, -1) for leaf in jacobian.values()], 2)
    np.testing.assert_allclose(
        kernel, jnp.einsum("iop,jop->ij", rows, rows), rtol=1e-3, atol=1e-3
    )
    assert np.linalg.eigvalsh(np.asarray(kernel, np.float64)).min() > -1e-3


def test_kernels_that_turn():
    a = X @ X.T
    assert float(metrics.kernel_velocity(2 * a, a)) == pytest.approx(0, abs=1e-6)
    first, second = jnp.diag(jnp.array([1.0, 0.0])), jnp.diag(jnp.array([0.0, 1.0]))
    assert float(metrics.kernel_velocity(first, second)) == 1
    y = jnp.array([1.0, -2.0, 0.5])
    aligned = metrics.kernel_alignment(jnp.outer(y, y), y)
    assert float(aligned) == pytest.approx(1, rel=1e-5)


def test_a_small_gradient_step_lowers_the_loss_by_the_kernel():
    rate = 1e-4
    residual = X @ W["w"] - Y
    loss = lambda p: ((X @ p["w"] - Y) ** 2).sum() / 2
    moved = {"w": W["w"] - rate * jax.grad(loss)(W)["w"]}
    kernel = metrics.empirical_ntk(lambda p, x: x @ p["w"], W, X)
    predicted = rate * residual @ kernel @ residual
    assert float(loss(W) - loss(moved)) == pytest.approx(float(predicted), rel=0.02)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_statistics_are_summed_wider_than_the_weights(dtype):
    # A thousand examples that each say 1: in bfloat16 alone the sum stops at 256.
    params = {"w": jnp.zeros(3, dtype)}
    found = metrics.gradient_statistics(
        lambda p, x: x @ p["w"], params, jnp.ones((1000, 3), dtype)
    )
    assert found.mean["w"].dtype == jnp.float32
    np.testing.assert_allclose(found.mean["w"], 1, rtol=1e-5)
    assert float(found.norm) == pytest.approx(3**0.5, rel=1e-5)
    assert float(found.example_cosine) == pytest.approx(1, rel=1e-4)


def test_half_precision_kernels_and_fishers_are_reported_in_float32():
    params = {"W": jr.normal(jr.key(3), (4, 6), jnp.bfloat16)}
    x = X.astype(jnp.bfloat16)
    kernel = metrics.empirical_ntk(logits, params, x)
    trace = metrics.fisher_trace(logits, params, x)
    turned = metrics.kernel_velocity(kernel.astype(jnp.bfloat16), kernel)
    for found in (kernel, trace, turned):
        assert found.dtype == jnp.float32
    wide = metrics.fisher_trace(
        logits, {"W": params["W"].astype(jnp.float32)}, x.astype(jnp.float32)
    )
    assert float(trace) == pytest.approx(float(wide), rel=0.02)
