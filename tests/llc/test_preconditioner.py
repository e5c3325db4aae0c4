"""Preconditioned chains sample the same posterior, on one time scale."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import llc
from jaxcirc._core import linear_combination, norm
from jaxcirc.llc import truth

from .problems import ONE

T, GAMMA = 1000.0, 1.0
# A condition number of 1e4 between directions that the loss decides.
H = np.logspace(0, -4, 12) * 100


def rotated(w, example):
    """A quadratic with the curvatures H in another basis than the coordinates'."""
    return (jnp.asarray(H, jnp.float32) * (basis() @ w) ** 2).sum() / 2 + 0 * example


def plain(w, example):
    return (jnp.asarray(H, jnp.float32) * w**2).sum() / 2 + 0 * example


def basis():
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 12)))[0]
    return jnp.asarray(q, jnp.float32)


class Whitening(eqx.Module):
    """The inverse root of the posterior's stiffness, in the rotated basis."""

    q: jnp.ndarray

    def __call__(self, v):
        root = jnp.asarray((T * H + GAMMA) ** -0.5, jnp.float32)
        return self.q.T @ (root * (self.q @ v))


SAMPLERS = pytest.mark.parametrize(
    "build",
    [
        lambda p: llc.SGLD(0.1, n_beta=T, gamma=GAMMA, preconditioner=p),
        lambda p: llc.MALA(0.5, n_beta=T, gamma=GAMMA, preconditioner=p),
        lambda p: llc.HMC(0.4, T, GAMMA, num_leapfrog=4, preconditioner=p),
    ],
    ids=["sgld", "mala", "hmc"],
)


@pytest.mark.optimized
@SAMPLERS
@pytest.mark.parametrize("case", ["diagonal", "function"])
def test_an_ill_conditioned_quadratic_is_exact(build, case):
    loss, preconditioner = {
        "diagonal": (
            plain,
            llc.DiagonalPreconditioner(jnp.asarray(1 / (T * H + GAMMA), jnp.float32)),
        ),
        "function": (rotated, llc.RootPreconditioner(Whitening(basis()))),
    }[case]
    found = llc.estimate(
        loss,
        jnp.zeros(12),
        ONE,
        build(preconditioner),
        num_chains=32,
        num_draws=500,
        # A plain chain of SGLD would need 1e5 steps for the flattest direction.
        num_burnin=100,
        steps_between_draws=8,
        key=jr.key(0),
    )
    exact = truth.quadratic(H, n_beta=T, gamma=GAMMA)
    assert found.status == "converged", found
    assert abs(found.corrected - exact) < 4 * found.standard_error
    # With 16,000 draws of a few steps each the error is below a per cent.
    assert found.standard_error < 0.01 * exact
    if isinstance(build(None), llc.SGLD):
        # Every direction has stiffness 1, so all are heated by 1 / (1 - ε / 4) alike.
        assert found.value / exact == pytest.approx(1 / (1 - 0.1 / 4), rel=0.015)


def test_a_constant_preconditioner_is_a_step_size():
    four = llc.DiagonalPreconditioner(4.0 * jnp.ones(12))
    options = {"num_chains": 2, "num_draws": 20, "num_burnin": 5, "key": jr.key(0)}
    for build in (
        lambda step, p: llc.SGLD(step**2, n_beta=10.0, preconditioner=p),
        lambda step, p: llc.MALA(step**2, n_beta=10.0, preconditioner=p),
        lambda step, p: llc.HMC(step, 10.0, num_leapfrog=3, preconditioner=p),
    ):
        one = llc.estimate(plain, jnp.zeros(12), ONE, build(0.02, None), **options)
        other = llc.estimate(plain, jnp.zeros(12), ONE, build(0.01, four), **options)
        np.testing.assert_allclose(one.trace, other.trace, rtol=2e-3)


def test_a_mask_cuts_the_map_and_the_target_stays():
    # The map mixes coordinates; those that are masked must stay where they are.
    mix = jnp.eye(3) + 0.5 * jnp.ones((3, 3)) / 3
    found = llc.estimate(
        lambda w, x: (w["a"] ** 2).sum() / 2 + 0 * x,
        {"a": jnp.zeros(3)},
        ONE,
        llc.HMC(
            0.05,
            100.0,
            0.0,
            num_leapfrog=8,
            preconditioner=llc.RootPreconditioner(lambda v: {"a": mix @ v["a"]}),
        ),
        mask={"a": jnp.array([True, True, False])},
        observables={"a": lambda w: w["a"]},
        num_chains=16,
        num_draws=400,
        num_burnin=200,
        key=jr.key(0),
    )
    assert (found.observed["a"][..., 2] == 0).all()
    # Two regular directions.
    assert abs(found.value - 1.0) < 4 * found.standard_error


def off(one, other, factor):
    """Length of what is left of a vector less a multiple of another."""
    return float(norm(linear_combination((1, one), (-factor, other))))


def test_low_rank_has_the_eigenvalues_that_it_says():
    u = {"a": basis()[:2, :5].copy(), "b": basis()[:2, 5:].copy()}
    G = llc.LowRankPreconditioner(u, jnp.array([0.1, 3.0]), scale=4.0)
    for i, c in enumerate((0.1, 3.0)):
        v = {"a": u["a"][i], "b": u["b"][i]}
        # Of unit vectors, so rounding is relative to their length.
        assert off(G.root(v), v, 2 * c) < 1e-5 * 2 * c
    rest = {"a": basis()[3, :5], "b": basis()[3, 5:]}
    assert off(G.root(rest), rest, 2.0) < 2e-5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: llc.DiagonalPreconditioner(jnp.array([1.0, 0.0])), "positive"),
        (lambda: llc.DiagonalPreconditioner(jnp.array([1.0, -1.0])), "positive"),
        (lambda: llc.DiagonalPreconditioner(jnp.ones(3)), "does not fit"),
        (lambda: llc.RootPreconditioner(lambda v: v[::-1] * 2), "not positive"),
        (lambda: llc.RootPreconditioner(lambda v: -v), "not positive"),
        (lambda: llc.RootPreconditioner(lambda v: v * jnp.arange(2.0)), "not positive"),
        (
            lambda: llc.RootPreconditioner(
                lambda v: jnp.array([[1.0, 0.5], [0.0, 1.0]]) @ v
            ),
            "not symmetric",
        ),
        (lambda: llc.RootPreconditioner(lambda v: v[:1]), "turns weights"),
        (lambda: llc.LowRankPreconditioner(jnp.eye(2)[:1], jnp.zeros(1)), "positive"),
    ],
)
def test_what_is_no_preconditioner_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        llc.estimate(
            lambda w, x: (w**2).sum() + 0 * x,
            jnp.zeros(2),
            ONE,
            llc.SGLD(1e-3, n_beta=1.0, preconditioner=make()),
            num_draws=2,
            num_burnin=1,
            key=jr.key(0),
        )
