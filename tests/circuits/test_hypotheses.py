"""Tests of hypotheses keep their word where these hold, and see where they do not."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

from jaxcirc import circuits
from jaxcirc.circuits._binomial import at_most
from jaxcirc.circuits._minimality import way_through
from jaxcirc.models import graph

from ..models.toys import toy
from .small import model_of, some_pairs


@pytest.mark.parametrize("n", [1, 7, 200])
@pytest.mark.parametrize("p", [0.4, 0.9])
def test_tails_are_those_of_the_binomial_distribution(n, p):
    k = np.arange(n + 1)
    found = at_most(jnp.asarray(k), jnp.asarray(n), p)
    expected = stats.binom.cdf(k, n, p)
    # Chances too small for a float32 are 0.
    tiny = float(jnp.finfo(jnp.float32).tiny)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=tiny)


@pytest.mark.parametrize(("n", "wins"), [(10, 9), (11, 2), (30, 15), (40, 40)])
@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_equivalence_sums_what_is_as_far_off(n, wins, margin):
    circuit = jnp.where(jnp.arange(n) < wins, 1.0, -1.0)
    share, p_value = circuits.equivalence(circuit, jnp.zeros(n), margin=margin)
    k = np.arange(n + 1)
    as_far = np.abs(2 * k - n) >= abs(2 * wins - n)
    expected = stats.binom.pmf(k, n, 0.5 + margin)[as_far].sum()
    assert float(share) == pytest.approx(wins / n)
    assert float(p_value) == pytest.approx(expected, rel=1e-4)


def test_ties_are_equivalent_and_pairs_that_do_not_count_change_nothing():
    same = circuits.equivalence(jnp.arange(9.0), jnp.arange(9.0))
    assert (float(same.statistic), float(same.p_value)) == (0.5, 1.0)
    circuit = jr.normal(jr.key(0), (20,))
    counts = jnp.arange(20) < 14
    some = circuits.equivalence(circuit, jnp.zeros(20), counts=counts)
    few = circuits.equivalence(circuit[:14], jnp.zeros(14))
    assert [*map(float, some)] == [*map(float, few)]
    nobody = circuits.equivalence(circuit, jnp.zeros(20), counts=counts & False)
    assert np.isnan(nobody.p_value)
    with pytest.raises(ValueError, match=r"`margin` .* \[0, 0.5\); got 0.5"):
        circuits.equivalence(circuit, circuit, margin=0.5)


N, DRAWS = 16, 300


@pytest.fixture(scope="module")
def p_values():
    """P-values of many draws, for a given dependence of the second on the first."""

    @jax.jit
    def of(strength):
        def one(key):
            x_key, y_key, key = jr.split(key, 3)
            x, noise = jr.normal(x_key, (N,)), jr.normal(y_key, (N,))
            y = strength * jnp.square(x) + noise
            # Values of pairs that do not count are far off, which must not be seen.
            pad = lambda z: jnp.append(z, jnp.full(3, 1e3))
            counts = jnp.arange(N + 3) < N
            return circuits.independence(
                pad(x), pad(y), counts=counts, permutations=99, key=key
            ).p_value

        return jax.vmap(one)(jr.split(jr.key(0), DRAWS))

    return of


def test_independence_is_rejected_as_often_as_it_says(p_values):
    found = np.asarray(p_values(0.0))
    for level in (0.05, 0.2, 0.5):
        # The test is exact, so rejections are binomial at the level.
        least, most = stats.binom.interval(0.999, DRAWS, level)
        assert least <= (found <= level).sum() <= most


def test_dependence_without_correlation_is_seen(p_values):
    assert (np.asarray(p_values(5.0)) <= 0.05).mean() > 0.8


def test_what_is_the_same_for_all_is_independent():
    x = jnp.arange(12.0)
    found = circuits.independence(jnp.ones(12), x, permutations=49, key=jr.key(0))
    assert (float(found.statistic), float(found.p_value)) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 pairs have too few orders"):
        circuits.independence(x[:3], x[:3], key=jr.key(0))


GROUPED = graph(toy("gqa"))


def test_ways_lead_from_an_embedding_to_the_logits():
    random = np.random.default_rng(0)
    for edge in GROUPED.edges[::7]:
        way = np.zeros(GROUPED.exists.shape, bool)
        for place in way_through(GROUPED, edge, random):
            way[place] = True
        assert way[tuple(edge)]
        assert not (way & ~GROUPED.exists).any()
        # Nothing of it is a dead end.
        np.testing.assert_array_equal(circuits.pruned(jnp.asarray(way), GROUPED), way)


@pytest.fixture(scope="module")
def judged():
    """A model of which one head writes nothing, and a circuit that has it and more."""
    model = model_of(toy("attention_only"))
    table = graph(model.config)
    W_O = model.blocks.attn.W_O
    silent = eqx.tree_at(
        lambda m: m.blocks.attn.W_O, model, W_O.at[0, 1].set(jnp.zeros(W_O.shape[2:]))
    )
    place = lambda s, d: (table.sources.index(s), table.destinations.index(d))
    idle = place("L0H1", "logits")
    needed = [place("embed", "L0H0.v"), place("L0H0", "logits")]
    keep = np.zeros(table.exists.shape, bool)
    for edge in [idle, *needed, place("embed", "logits")]:
        keep[edge] = True
    found = circuits.minimality(
        silent, some_pairs(4), jnp.asarray(keep), n_random=40, key=jr.key(0)
    )
    return silent, table, keep, idle, found


def test_an_edge_that_carries_nothing_is_not_needed(judged):
    *_, keep, idle, found = judged
    assert float(found.effects[idle]) == 0
    # None of the references is below 0, and 0 of 40 has this chance.
    assert float(found.p_values[idle]) == pytest.approx(0.1**40, rel=1e-3, abs=1e-30)
    assert float(found.adjusted[idle]) < 1e-6
    assert (np.isfinite(found.p_values) == keep).all()


def test_effects_are_those_of_the_circuit_without_an_edge(judged):
    model, table, keep, _, found = judged
    edges = np.argwhere(keep)
    without = np.repeat(keep[None], len(edges) + 1, axis=0)
    without[np.arange(len(edges)), *edges.T] = False
    values = circuits.performance(model, some_pairs(4), jnp.asarray(without)).values
    expected = jnp.abs(values[:-1] - values[-1:]).mean(axis=1)
    np.testing.assert_allclose(found.effects[tuple(edges.T)], expected, rtol=1e-5)
    smaller = (np.asarray(found.reference)[None] < np.asarray(expected)[:, None]).sum(1)
    np.testing.assert_allclose(
        found.p_values[tuple(edges.T)], stats.binom.cdf(smaller, 40, 0.9), rtol=1e-3,
        atol=1e-30,
    )  # fmt: skip


def test_circuits_that_cannot_be_judged_are_refused(judged):
    model, table, keep, *_ = judged
    ask = lambda mask, **options: circuits.minimality(
        model, some_pairs(4), jnp.asarray(mask), key=jr.key(0), **options
    )
    for mask in (keep & False, table.exists):
        with pytest.raises(ValueError, match=f"{mask.sum()} of {table.n_edges} edges"):
            ask(mask)
    with pytest.raises(ValueError, match=r"`quantile` must be in \(0, 1\)"):
        ask(keep, quantile=1.0)
    with pytest.raises(ValueError, match="`keep` has shape"):
        ask(keep[:2])
