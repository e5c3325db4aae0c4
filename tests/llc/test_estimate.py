import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import llc
from jaxcirc.llc import Status

from .problems import ONE, regression

SHORT = {"num_chains": 2, "num_draws": 20, "num_burnin": 20, "key": jr.key(0)}


def test_a_regression_has_half_its_dimension():
    loss, w, data, h = regression()
    found = llc.estimate(
        loss,
        w,
        data,
        llc.SGLD(2e-4, gamma=0.1),
        batch_size=50,
        num_chains=16,
        num_draws=1000,
        num_burnin=3000,
        steps_between_draws=10,
        key=jr.key(0),
    )
    n = 200
    assert found.n_beta == pytest.approx(n / np.log(n))
    t = found.n_beta
    exact = 0.5 * np.sum(t * h / (t * h + 0.1))
    assert found.value == pytest.approx(exact, rel=0.05)
    assert found.status is Status.CONVERGED
    each = np.asarray(loss(w, data))
    assert found.initial_loss == pytest.approx(each.mean(), rel=1e-5)
    # Every draw's baseline is on its own examples.
    assert found.variance_reduction > 1.5


def test_the_paired_baseline_gives_the_same_mean_as_the_full_one():
    loss, w, data, _ = regression(noise=3.0)
    options = {"batch_size": 20, "num_chains": 8, "num_draws": 500, "key": jr.key(1)}
    sampler = llc.SGLD(1e-3, gamma=1.0)
    paired = llc.estimate(loss, w, data, sampler, **options)
    full = llc.estimate(loss, w, data, sampler, initial_loss="full", **options)
    np.testing.assert_allclose(paired.loss, full.loss)  # the chains are the same
    assert paired.standard_error < full.standard_error / 2
    assert paired.variance_reduction > 4
    error = 3 * full.standard_error
    assert paired.value == pytest.approx(full.value, abs=error)
    # More data than the chains see: each step evaluates its own examples at w*.
    few = {"batch_size": 5, "num_chains": 2, "num_draws": 4, "num_burnin": 2}
    direct = llc.estimate(loss, w, data, sampler, **few, key=jr.key(1))
    looked_up = llc.sweep(
        loss, w, data, sampler, **(few | {"num_draws": 40}), key=jr.key(1)
    ).estimates.item()
    np.testing.assert_allclose(direct.trace, looked_up.trace[:, :4], atol=1e-4)
    assert direct.initial_loss == pytest.approx(
        (direct.loss - direct.trace / direct.n_beta).mean()
    )


class Net(eqx.Module):
    layer: eqx.nn.Linear
    steps: int = eqx.field(static=True)

    def __call__(self, x):
        return jax.vmap(self.layer)(x)[:, 0]


def _trees():
    x = jr.normal(jr.key(0), (30, 3))
    data = (x, x.sum(axis=1))

    def squares(predict):
        return lambda params, batch: (predict(params, batch[0]) - batch[1]) ** 2

    def equinox():
        net = Net(eqx.nn.Linear(3, 1, key=jr.key(0)), 1)
        return net, squares(lambda net, x: net(x)), 4

    def plain():
        return jnp.zeros(3), squares(lambda w, x: x @ w), 3

    def numpy():
        return {"w": np.zeros(3, np.float32)}, squares(lambda p, x: x @ p["w"]), 3

    def linen():
        import flax.linen as nn

        model = nn.Dense(1)
        params = model.init(jr.key(0), x)
        return params, squares(lambda p, x: model.apply(p, x)[:, 0]), 4

    def nnx():
        from flax import nnx

        model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
        graph, state = nnx.split(model)
        return state, squares(lambda s, x: nnx.merge(graph, s)(x)[:, 0]), 4

    def haiku():
        import haiku as hk

        model = hk.without_apply_rng(hk.transform(lambda x: hk.Linear(1)(x)[:, 0]))
        return model.init(jr.key(0), x), squares(model.apply), 4

    return data, (equinox, plain, numpy, linen, nnx, haiku)


@pytest.mark.parametrize("make", _trees()[1], ids=lambda f: f.__name__)
def test_anybodys_tree_can_be_measured(make):
    data = _trees()[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Flax and Haiku mix types, as users of them may.
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            params, loss, d = make()
            found = llc.estimate(
                loss, params, data, llc.SGLD(1e-4), batch_size=10, **SHORT
            )
    assert found.dimension == d
    assert np.isfinite(found.trace).all()


def _flat(w, x):
    return (w**2).sum() / 2 + 0 * x


def _status(loss, w, sampler, **options):
    return llc.estimate(
        loss,
        w,
        ONE,
        sampler,
        **({"num_chains": 4, "num_draws": 400, "key": jr.key(0)} | options),
    )


def test_every_status_is_given_where_it_is_due():
    good = _status(_flat, jnp.zeros(3), llc.SGLD(1e-3, n_beta=100.0), num_draws=2000)
    assert good.status is Status.CONVERGED
    assert good.value == pytest.approx(1.5, rel=0.1)

    far = _status(_flat, jnp.full(3, 5.0), llc.SGLD(1e-3, n_beta=100.0, gamma=0.0))
    assert far.status is Status.BELOW_INITIAL_LOSS
    assert far.below_initial > 0.9

    early = _status(_flat, jnp.zeros(3), llc.SGLD(1e-5, n_beta=100.0), num_burnin=0)
    assert early.status is Status.TRANSIENT
    assert "rising" in early.sentence or "disagree" in early.sentence

    hot = _status(_flat, jnp.zeros(3), llc.SGLD(3.5e-2, n_beta=100.0))
    assert hot.status is Status.HEATED
    # |w| has no second derivative at its minimum, and λ = d.
    kinked = lambda w, x: jnp.abs(w).sum() + 0 * x
    away = _status(kinked, jnp.zeros(3), llc.HMC(0.01, n_beta=100.0))
    assert away.status is Status.NON_LOCAL
    assert "above d/2 = 1.5" in away.sentence
    guess = _status(
        _flat, jnp.zeros(3), llc.SGLD(1e-2, n_beta=100.0), trivial_loss=1e-3
    )
    assert guess.status is Status.NON_LOCAL
    assert "knows nothing" in guess.sentence

    with np.errstate(all="ignore"):
        gone = _status(_flat, jnp.zeros(3), llc.SGLD(1.0, n_beta=100.0))
    assert gone.status is Status.DIVERGED
    assert gone.num_diverged == 4
    assert np.isnan(gone.value)
    assert "4 of 4 chains diverged" in gone.sentence
    with pytest.raises(llc.LLCError, match="not converged"):
        _status(_flat, jnp.zeros(3), llc.SGLD(1.0, n_beta=100.0), throw=True)


@pytest.mark.parametrize("kind", ["number", "mask"])
def test_a_loss_that_changes_from_call_to_call_is_refused(kind):
    rng = np.random.default_rng(0)

    def loss(w, x):
        if kind == "number":
            return _flat(w, x) + float(rng.normal())
        return _flat(w * jnp.asarray(rng.random(3) < 0.5, jnp.float32), x)

    with pytest.raises(ValueError, match="another function each time it is called"):
        _status(loss, jnp.zeros(3), llc.SGLD(1e-3, n_beta=100.0))


def test_a_loss_with_constants_of_its_own_is_not():
    mask, key = np.array([True, False, True]), jr.key(3)
    noise = lambda w: 0 * jr.normal(key, w.shape)
    loss = lambda w, x: _flat(jnp.where(mask, w, 0.0) + noise(w), x)
    assert np.isfinite(_status(loss, jnp.zeros(3), llc.SGLD(1e-3, 100.0)).value)


@pytest.mark.parametrize("num_draws", [1, 3, 7])
def test_too_few_draws_to_judge_are_never_converged(num_draws):
    short = _status(
        _flat, jnp.zeros(3), llc.SGLD(1e-3, n_beta=100.0), num_draws=num_draws
    )
    assert short.status is Status.TRANSIENT
    assert all(v.status is Status.TRANSIENT for v in short.chain_verdicts)


def test_drift_parts_are_those_of_the_update():
    # One step from w*: no pull, no gradient; noise √(ε d) on average.
    d, eps = 4000, 1e-3
    found = llc.estimate(
        _flat,
        jnp.zeros(d),
        ONE,
        llc.SGLD(eps, n_beta=10.0),
        num_chains=2,
        num_draws=2,
        num_burnin=0,
        key=jr.key(0),
    )
    assert found.gradient_norm[:, 0] == pytest.approx(0.0)
    assert found.noise_norm == pytest.approx(np.sqrt(eps * d), rel=0.05)
    # One step on, |w| = √(ε d): the pull is ε/2 γ |w|, the gradient n_beta times that.
    assert found.localization_norm[:, 1] == pytest.approx(
        eps / 2 * np.sqrt(eps * d), rel=0.05
    )
    ratio = found.gradient_norm[:, 1] / found.localization_norm[:, 1]
    assert ratio == pytest.approx(10.0, rel=1e-4)
    assert found.distance[:, 0] == pytest.approx(np.sqrt(eps * d), rel=0.05)


def test_acceptance_of_the_test_that_sgld_leaves_out():
    def accepted(eps):
        found = _status(
            _flat,
            jnp.zeros(20),
            llc.SGLD(eps, n_beta=100.0),
            test_acceptance=True,
            num_draws=100,
        )
        return found.acceptance.mean()

    exact = _status(_flat, jnp.zeros(20), llc.MALA(2e-3, n_beta=100.0), num_draws=300)
    # The chain of MALA is a little colder than that of SGLD.
    assert accepted(2e-3) == pytest.approx(exact.acceptance.mean(), abs=0.02)
    assert accepted(1e-4) > 0.99


def test_other_data_give_a_data_refined_coefficient():
    loss, w, data, h = regression(n=100)
    half = jax.tree.map(lambda a: a[:50], data)
    found = llc.estimate(
        loss,
        w,
        data,
        llc.HMC(0.1, gamma=0.1, num_leapfrog=10),
        observables={"half": half, "all": data, "norm": lambda w: (w**2).sum()},
        num_chains=8,
        num_draws=400,
        num_burnin=200,
        key=jr.key(0),
    )
    value, error = found.refined("all")
    assert value == pytest.approx(found.value, abs=1e-2)
    # E[½ (w - w*)ᵀ H' (w - w*)] over N(0, (t H + γ)⁻¹), and the slope at w* has mean 0.
    x, y = (np.asarray(a, float) for a in data)
    t = found.n_beta
    covariance = np.linalg.inv(t * x.T @ x / 100 + 0.1 * np.eye(3))
    exact = t / 2 * np.trace(x[:50].T @ x[:50] / 50 @ covariance)
    value, error = found.refined("half")
    assert value == pytest.approx(exact, abs=4 * error)
    assert found.observed["norm"].shape == (8, 400)
    with pytest.raises(ValueError, match="there are: all, half, norm"):
        found.refined("hlaf")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss_fn": lambda w, b: ((b[0] @ w - b[1]) ** 2).mean()}, "loss of each"),
        ({"params": jnp.full(3, jnp.nan)}, "loss at w[*] is nan"),
        ({"batch_size": 201}, "between 1 and the 200 examples"),
        ({"num_draws": 0}, "`num_draws` must be at least 1; got 0"),
        ({"num_chains": 0}, "`num_chains` must be at least 1"),
        ({"num_burnin": -1}, "`num_burnin` must be at least 0"),
        ({"mask": jnp.zeros(3, bool)}, "keeps no coordinate"),
        ({"mask": jnp.ones(4, bool)}, "does not fit"),
        ({"strategy": "vmpa"}, "did you mean 'vmap'"),
        ({"strategy": {"chian": "vmap"}}, "did you mean 'chain'"),
        ({"initial_loss": "fulll"}, "'paired', 'full' or a number"),
        ({"params": jnp.zeros(3, jnp.int32)}, "no floating-point array"),
        ({"sampler": llc.MALA(1e-3), "batch_size": 10}, "needs all examples"),
        ({"sampler": llc.RMSpropSGLD(1e-3), "num_burnin": 0}, "learns its precond"),
        ({"data": (jnp.zeros((5, 3)), jnp.zeros(4))}, "same leading example axis"),
        (
            {"data": lambda key: (jr.normal(key, (4, 3)), jnp.zeros(4))},
            "n / ln n for n examples",
        ),
        ({"max_memory": 1000}, "one chain needs"),
    ],
    ids=lambda x: x if isinstance(x, str) else "+".join(x),
)
def test_bad_input_is_refused_before_anything_is_sampled(change, message):
    loss, w, data, _ = regression()
    call = {
        "loss_fn": loss,
        "params": w,
        "data": data,
        "sampler": llc.SGLD(1e-4),
        **SHORT,
    } | change
    error = llc.LLCMemoryError if "max_memory" in change else ValueError
    with pytest.raises(error, match=message):
        llc.estimate(**call)


def test_a_population_decides_its_own_batch():
    with pytest.raises(ValueError, match="leave out `batch_size`"):
        llc.estimate(
            _flat,
            jnp.zeros(2),
            lambda key: jr.normal(key, (4,)),
            llc.SGLD(1e-3, n_beta=1.0),
            batch_size=4,
            **SHORT,
        )


def test_chains_that_never_moved_are_not_converged():
    at = jnp.full(3, 2.0)
    for sampler in (
        llc.SGLD(1e-18, n_beta=100.0),  # steps below half a unit in the last place
        llc.MALA(1e3, n_beta=100.0),  # no proposal is accepted
    ):
        still = _status(lambda w, x: _flat(w - at, x), at, sampler)
        assert np.ptp(still.trace) == 0
        assert still.status is Status.TRANSIENT
        assert "4 of 4 chains: every draw has the same loss" in still.sentence
        assert all(v.status is Status.TRANSIENT for v in still.chain_verdicts)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": [jnp.ones(4), jnp.ones(4)]}, "fails on examples.*jnp.concatenate"),
        ({"data": {"x": jnp.ones(4), "pad": 0}}, "every leaf of `data`.*int 0"),
        ({"data": {"x": jnp.ones(4), "name": "a"}}, "every leaf of `data`.*str 'a'"),
        ({"num_draws": True}, "`num_draws` must be a whole number; got True"),
    ],
)
def test_what_cannot_be_sampled_is_named(change, words):
    def loss(w, batch):
        x = batch["x"] if isinstance(batch, dict) else batch * 1.0
        return x * (w**2).sum()

    options = {"data": jnp.ones(4), **SHORT, **change}
    with pytest.raises(ValueError, match=f"llc: .*{words}"):
        llc.estimate(loss, jnp.zeros(2), sampler=llc.SGLD(1e-4), **options)
