"""Every objective against its definition, and everything that takes one."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import llc, metrics
from jaxcirc.objectives import (
    OBJECTIVES,
    AnswerProbability,
    CrossEntropy,
    KLTo,
    LogitDifference,
    Negative,
    ProbabilityDifference,
    SoftBatch,
    mean_of,
)
from jaxcirc.tasks import Batch, Pairs

TOKENS = jr.randint(jr.key(0), (6, 4), 0, 5)
BATCH = Batch(TOKENS, (TOKENS + 1) % 5, jr.bernoulli(jr.key(1), 0.6, (6, 4)))
BATCH = BATCH._replace(mask=BATCH.mask.at[:, 0].set(True))
RIGHT = jnp.array([[0, 1], [2, -1], [3, 4], [1, -1], [0, -1], [-1, -1]])
WRONG = jnp.array([[2, 3], [3, 4], [0, -1], [2, -1], [1, 2], [3, -1]])
PAIRS = Pairs(
    TOKENS, TOKENS[::-1], RIGHT, WRONG, {"end": jnp.array([3, 2, 1, 3, 0, 3])}
)


class Table:
    """Logits that a table has for each token: a model of one weight matrix."""

    def __init__(self, weights):
        self.weights = weights

    def __call__(self, tokens):
        return self.weights[tokens]


jax.tree_util.register_pytree_node(
    Table, lambda t: ((t.weights,), None), lambda _, leaves: Table(*leaves)
)
MODEL = Table(jr.normal(jr.key(2), (5, 5)))
OTHER = Table(jr.normal(jr.key(3), (5, 5)))
SOFT = SoftBatch(TOKENS, OTHER(TOKENS), BATCH.mask)
CASES = {
    "cross_entropy": (CrossEntropy(), BATCH),
    "logit_difference": (LogitDifference(), PAIRS),
    "kl_to": (KLTo(OTHER), BATCH),
    "probability_difference": (ProbabilityDifference(), PAIRS),
    "answer_probability": (AnswerProbability(), PAIRS),
    "soft": (KLTo(), SOFT),
    "cross_entropy_of_pairs": (CrossEntropy(), PAIRS),
    "kl_to_of_pairs": (KLTo(OTHER), PAIRS),
    "negative": (Negative(LogitDifference()), PAIRS),
}
cases = pytest.mark.parametrize(
    ("objective", "examples"), CASES.values(), ids=list(CASES)
)


def written_out(name):
    """The values by NumPy, one example at a time, and the mean."""
    logits = np.asarray(MODEL(TOKENS), np.float64)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    if name == "cross_entropy":
        rows = [
            [-log_p[i, j, BATCH.targets[i, j]] for j in range(4) if BATCH.mask[i, j]]
            for i in range(6)
        ]
        return [np.mean(r) for r in rows], np.mean(np.concatenate(rows))
    if name in ("kl_to", "soft"):
        other = np.asarray(OTHER(TOKENS), np.float64)
        q = other - np.log(np.exp(other).sum(-1, keepdims=True))
        each = (np.exp(q) * (q - log_p)).sum(-1)
        rows = [each[i][np.asarray(BATCH.mask[i])] for i in range(6)]
        return [r.mean() for r in rows], np.concatenate(rows).mean()
    values = []
    for i in range(6):
        end = int(PAIRS.positions["end"][i])
        right, wrong = ([a for a in x[i].tolist() if a >= 0] for x in (RIGHT, WRONG))
        if not right:
            values.append(np.nan)
        elif name == "kl_to_of_pairs":
            other = np.asarray(OTHER(TOKENS), np.float64)[i, end]
            q = other - np.log(np.exp(other).sum())
            values.append((np.exp(q) * (q - log_p[i, end])).sum())
        elif name in ("answer_probability", "cross_entropy_of_pairs"):
            p = np.exp(log_p[i, end])[right].sum()
            values.append(p if name == "answer_probability" else -np.log(p))
        elif name == "probability_difference":
            p = np.exp(log_p[i, end])
            values.append(p[right].sum() - p[wrong].sum())
        else:
            values.append(logits[i, end, right].mean() - logits[i, end, wrong].mean())
    sign = -1 if name == "negative" else 1
    return sign * np.array(values), sign * np.nanmean(values)


@pytest.mark.parametrize("name", CASES)
def test_values_and_mean_are_the_definition(name):
    objective, examples = CASES[name]
    each, mean = written_out(name)
    np.testing.assert_allclose(objective(MODEL, examples), each, rtol=1e-4)
    assert float(objective.mean(MODEL, examples)) == pytest.approx(mean, rel=1e-4)
    assert float(mean_of(objective, MODEL, examples)) == pytest.approx(mean, rel=1e-4)


def test_the_catalogue_has_each_once_and_builds_it():
    names = [row.name for row in OBJECTIVES]
    assert names == list(CASES)[:5]
    for row in OBJECTIVES:
        examples = BATCH if row.takes == "batch" else PAIRS
        options = {"reference": OTHER} if row.name == "kl_to" else {}
        values = row.build(**options)(MODEL, examples)
        np.testing.assert_array_equal(values, CASES[row.name][0](MODEL, examples))


@cases
def test_a_constant_on_all_logits_changes_nothing(objective, examples):
    moved = Table(MODEL.weights + jnp.arange(5.0)[:, None])
    np.testing.assert_allclose(
        objective(moved, examples), objective(MODEL, examples), rtol=1e-3, atol=1e-5
    )


@cases
def test_values_are_the_same_one_by_one_and_under_jit(objective, examples):
    whole = objective(MODEL, examples)
    compiled = jax.jit(lambda o, m, e: o(m, e))(objective, MODEL, examples)
    np.testing.assert_allclose(compiled, whole, rtol=1e-5)
    for i in (0, 3):
        one = jax.tree.map(lambda x, i=i: x[i : i + 1], examples)
        np.testing.assert_allclose(objective(MODEL, one)[0], whole[i], rtol=1e-5)
        alone = jax.tree.map(lambda x, i=i: x[i], examples)
        np.testing.assert_allclose(objective.mean(MODEL, alone), whole[i], rtol=1e-5)


@cases
def test_gradients_are_finite_where_some_places_do_not_count(objective, examples):
    slope = jax.grad(objective.mean)(MODEL, examples)
    assert jnp.isfinite(slope.weights).all()
    assert jnp.abs(slope.weights).max() > 0


def test_the_divergence_from_oneself_is_at_its_minimum():
    assert float(KLTo(MODEL).mean(MODEL, BATCH)) == pytest.approx(0, abs=1e-6)
    slope = jax.grad(KLTo(MODEL).mean)(MODEL, BATCH)
    np.testing.assert_allclose(slope.weights, 0, atol=1e-6)
    with pytest.raises(ValueError, match="KLTo: without a reference.*got Batch"):
        KLTo()(MODEL, BATCH)


def test_a_pair_can_be_asked_after_its_corrupted_sequence():
    swapped = PAIRS._replace(clean=PAIRS.corrupted, corrupted=PAIRS.clean)
    values = LogitDifference()(MODEL, swapped)
    assert jnp.isnan(values[-1])
    assert (values[:-1] != LogitDifference()(MODEL, PAIRS)[:-1]).any()


def test_what_takes_an_objective_takes_a_function_too():
    """Gradients, curvature and kernels agree for both, where places weigh alike."""
    every = BATCH._replace(mask=BATCH.mask | True)
    plain = lambda model, batch: CrossEntropy()(model, batch)
    for measure in (
        lambda o: metrics.gradient_statistics(o, MODEL, every).norm,
        lambda o: metrics.empirical_fisher_trace(o, MODEL, every),
        lambda o: metrics.hessian_trace(o, MODEL, every, key=jr.key(0)),
        lambda o: metrics.empirical_ntk(o, MODEL, every),
    ):
        np.testing.assert_allclose(
            measure(CrossEntropy()), measure(plain), rtol=1e-4, atol=1e-6
        )


def test_a_function_that_takes_the_mean_itself_is_told_so():
    mean = lambda model, batch: CrossEntropy().mean(model, batch)
    for measure in (metrics.gradient_statistics, metrics.empirical_fisher_trace):
        with pytest.raises(ValueError, match=r"shape \[\]. Leave out the mean"):
            measure(mean, MODEL, BATCH)
    with pytest.raises(ValueError, match="one value for each example"):
        mean_of(mean, MODEL, BATCH)


def test_chains_take_an_objective_with_weights_of_its_own():
    """The reference's weights are data of the loss: they are not sampled."""
    found = llc.estimate(
        KLTo(MODEL),
        MODEL,
        BATCH,
        llc.SGLD(1e-4, n_beta=20.0),
        num_chains=2,
        num_draws=20,
        num_burnin=10,
        key=jr.key(0),
    )
    assert found.initial_loss == pytest.approx(0, abs=1e-6)
    # A divergence is never negative, and only at w* itself is it 0.
    assert (found.trace > 0).all()
    with pytest.raises(ValueError, match="llc: takes a loss.*higher for a better"):
        llc.estimate(LogitDifference(), MODEL, PAIRS, llc.SGLD(1e-4), key=jr.key(0))
