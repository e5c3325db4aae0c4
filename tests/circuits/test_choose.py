"""Which edges are chosen, and what circuits of them keep."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import circuits
from jaxcirc.models import TransformerConfig, graph

from ..models.toys import toy
from .small import model_of, named, some_pairs

SMALL = graph(TransformerConfig(d_vocab=9, n_ctx=8, n_layers=2, n_heads=2, d_mlp=4))
GROUPED = graph(toy("gqa"))


def scores_of(table, seed=0):
    values = jr.normal(jr.key(seed), table.exists.shape)
    values = jnp.where(table.exists, values, 0)
    return circuits.Scores(values, table, "eap", "resample", "LogitDifference")


@pytest.mark.parametrize("table", [SMALL, GROUPED], ids=["small", "grouped"])
@pytest.mark.parametrize("signed", [False, True])
def test_top_edges_are_those_of_a_sort(table, signed):
    scores = scores_of(table)
    values = np.asarray(scores.values)[tuple(table.edges.T)]
    strength = -values if signed else np.abs(values)
    for n in (0, 1, 7, table.n_edges):
        kept = np.asarray(circuits.top(scores, n, signed=signed))
        assert kept.sum() == n
        assert not (kept & ~table.exists).any()
        best = set(map(tuple, table.edges[np.argsort(-strength)[:n]]))
        assert set(map(tuple, np.argwhere(kept))) == best
    family = circuits.nested(scores, [1, 5, 0.5, 1.0], signed=signed)
    assert family.sum(axis=(1, 2)).tolist() == [
        1, 5, round(table.n_edges / 2), table.n_edges,
    ]  # fmt: skip
    for small, large in itertools.pairwise(family):
        assert not (small & ~large).any()


def test_spans_are_ordered_together_or_each_for_itself():
    one = scores_of(SMALL)
    weak = eqx.tree_at(lambda s: s.values, one, one.values / 1e3)
    values = jnp.stack([one.values, weak.values])
    both = eqx.tree_at(lambda s: s.values, one, values)
    # All edges of the first span are stronger than any of the second one is.
    n = SMALL.n_edges // 2
    together = circuits.top(both, n, across_spans=True)
    np.testing.assert_array_equal(together[0], circuits.top(one, n))
    assert not together[1].any()
    np.testing.assert_array_equal(circuits.top(both, n)[1], circuits.top(weak, n))
    assert circuits.top(both, 2 * SMALL.n_edges, across_spans=True).sum() == 2 * (
        SMALL.n_edges
    )


def test_a_threshold_keeps_what_is_above():
    scores = scores_of(SMALL)
    kept = circuits.threshold(scores, 0.5)
    expected = SMALL.exists & (np.abs(scores.values) >= 0.5)
    np.testing.assert_array_equal(kept, expected)


def ways(keep, table):
    """Edges on a way from an embedding to the logits, by walking all of them."""
    keep = np.asarray(keep)
    starts = [s for s in range(len(table.sources)) if table.source_layer[s] < 0]
    good = set()

    def walk(source, path):
        for d in np.flatnonzero(keep[source]):
            here = [*path, (source, d)]
            if not table.serves[d].any():
                good.update(here)
            for s in np.flatnonzero(table.serves[d]):
                walk(s, here)

    for start in starts:
        walk(start, [])
    out = np.zeros_like(keep)
    for place in good:
        out[place] = True
    return out


@pytest.mark.parametrize("table", [SMALL, GROUPED], ids=["small", "grouped"])
def test_pruned_circuits_are_all_ways_through(table):
    keep = jr.bernoulli(jr.key(3), 0.25, (20, *table.exists.shape))
    keep = keep & jnp.asarray(table.exists)[None]
    found = circuits.pruned(keep, table)
    for before, after in zip(keep, found, strict=True):
        np.testing.assert_array_equal(after, ways(before, table))


def grown_by_hand(scores, n):
    table, values = scores.graph, np.abs(np.asarray(scores.values))
    kept = np.zeros(table.exists.shape, bool)
    open_to = ~table.serves.any(axis=1)
    for _ in range(n):
        free = table.exists & open_to[None] & ~kept
        if not free.any():
            break
        s, d = np.unravel_index(np.where(free, values, -1).argmax(), free.shape)
        kept[s, d] = True
        open_to |= table.serves[:, s]
    return kept


def test_greedy_growth_is_always_connected_to_the_logits():
    for seed in range(3):
        scores = scores_of(SMALL, seed)
        for n in (1, 6, SMALL.n_edges):
            kept = circuits.greedy(scores, n)
            np.testing.assert_array_equal(kept, grown_by_hand(scores, n))


def test_choosing_is_mapped_over_resamples():
    many = jax.vmap(lambda seed: scores_of(SMALL, 0).values * seed)(jnp.arange(1.0, 4))
    one = scores_of(SMALL)
    stacked = eqx.tree_at(lambda s: s.values, one, many)
    for choose in (circuits.top, circuits.greedy):
        found = choose(stacked, 5)
        for row in found:
            np.testing.assert_array_equal(row, choose(one, 5))


def test_what_cannot_be_chosen_is_said():
    scores = scores_of(SMALL)
    with pytest.raises(ValueError, match=f"asked for 999 edges.* {SMALL.n_edges}"):
        circuits.top(scores, 999)
    with pytest.raises(ValueError, match=r"share of all edges must be in \(0, 1\]"):
        circuits.nested(scores, [1.5])
    bad = eqx.tree_at(lambda s: s.values, scores, scores.values.at[0, 0].set(jnp.nan))
    with pytest.raises(ValueError, match="1 scores are not finite"):
        circuits.top(bad, 2)


KEPT = ("resample", "zero", "mean")


@pytest.fixture(scope="module")
def setting():
    model = model_of(toy("norm_both"))
    return model, some_pairs(4), graph(model.config)


@pytest.mark.parametrize("ablation", KEPT)
def test_all_edges_keep_all_and_none_keep_nothing(setting, ablation):
    model, pairs, table = setting
    family = jr.bernoulli(jr.key(0), 0.5, (3, *table.exists.shape))
    ends = jnp.stack([jnp.zeros(table.exists.shape, bool), jnp.asarray(table.exists)])
    masks = jnp.concatenate([family, ends]).astype(bool)
    found = circuits.faithfulness(model, pairs, masks, ablation=ablation, batch_size=3)
    assert found.normalised[3:].tolist() == [0.0, 1.0]
    assert found.ablation == ablation
    # Neither what is run beside a circuit nor in which order changes it.
    back = circuits.faithfulness(model, pairs, masks[::-1], ablation=ablation)
    np.testing.assert_allclose(found.values, back.values[::-1], rtol=1e-5, atol=1e-6)
    one = circuits.run(model, pairs, family[0], ablation=ablation)
    by_hand = one[jnp.arange(4), -1, 1] - one[jnp.arange(4), -1, 2]
    np.testing.assert_allclose(
        found.performance.values[0], by_hand, rtol=1e-4, atol=1e-5
    )


def test_all_circuits_and_checkpoints_are_one_program(setting):
    model, pairs, table = setting
    traces = []

    def objective(model, pairs):
        traces.append(None)
        return model(pairs.clean)[:, -1, 0]

    for seed in range(3):
        masks = jr.bernoulli(jr.key(seed), 0.5, (2, *table.exists.shape))
        scaled = jax.tree.map(lambda x, seed=seed: x * (1 + seed / 10), model)
        circuits.performance(scaled, pairs, masks, objective=objective)
    # Once for the program and once for its shapes at most.
    assert len(traces) <= 2


def kept_by(sizes, values, full):
    """A curve with given values, of which none of the pairs is looked at."""
    values, ends = jnp.array(values), (jnp.asarray(full), jnp.zeros(()))
    pairs = circuits.Performance(jnp.zeros((len(sizes) + 2, 1)), jnp.ones(1, bool))
    return circuits.Faithfulness(jnp.array(sizes), values, *ends, "resample", pairs)


def test_areas_are_those_of_trapezoids():
    found = kept_by([1, 5, 10], [0.5, 1.0, 2.0], full=2.0)
    np.testing.assert_allclose(found.normalised, [0.25, 0.5, 1.0])
    assert float(found.cpr(10)) == pytest.approx(0.4 * 0.375 + 0.5 * 0.75)
    assert float(found.cmd(10)) == pytest.approx(0.4 * 0.625 + 0.5 * 0.25)
    np.testing.assert_allclose(found.ratio, [0.25, 0.5, 1.0])


def test_the_smallest_is_found_on_a_curve_that_falls_again():
    found = kept_by([1, 5, 10, 20], [0.1, 0.9, 0.2, 0.95], full=1.0)
    rank = circuits.ranks(scores_of(SMALL))
    family = jnp.stack([rank < n for n in (1, 5, 10, 20)])
    best = circuits.smallest(found, family, SMALL, 0.8)
    assert (int(best.size), int(best.place)) == (5, 1)
    none = circuits.smallest(found, family, SMALL, 0.99)
    assert (int(none.size), float(none.faithfulness)) == (SMALL.n_edges, 1.0)


def test_random_circuits_have_their_size():
    found = circuits.random_circuits(SMALL, jnp.array([0, 3, 9, 3]), key=jr.key(0))
    assert found.sum(axis=(1, 2)).tolist() == [0, 3, 9, 3]
    assert not (np.asarray(found) & ~SMALL.exists).any()
    assert (found[1] != found[3]).any()


def population(n, seed):
    """Scores of examples with known means: the places' own numbers."""
    mean = jnp.where(SMALL.exists, jnp.arange(SMALL.exists.size).reshape(
        SMALL.exists.shape) / 10, 0)  # fmt: skip
    noise = jr.t(jr.key(seed), 8.0, (n, *SMALL.exists.shape))
    values = jnp.where(jnp.asarray(SMALL.exists)[None], mean[None] + noise, 0)
    counts = jnp.ones(n, bool)
    return mean, circuits.Scores(values, SMALL, "eap", "resample", "", counts)


@pytest.mark.parametrize("n", [8, 40])
def test_intervals_hold_the_mean_of_the_population(n):
    inside = []
    for seed in range(20):
        mean, scores = population(n, seed)
        sure = circuits.bootstrap(scores, 5, resamples=8, key=jr.key(seed))
        holds = (sure.low <= mean) & (mean <= sure.high)
        inside.append(np.asarray(holds)[SMALL.exists].mean())
    # 20 x 60 intervals of 95%: what chance leaves is about a percent.
    assert 0.93 < np.mean(inside) < 0.97


def test_resamples_choose_what_stands_out():
    _, scores = population(30, 0)
    # Five edges far above all noise.
    strong = tuple(SMALL.edges[::12][:5].T)
    values = scores.values.at[:, *strong].add(1e3)
    scores = eqx.tree_at(lambda s: s.values, scores, values)
    sure = circuits.bootstrap(scores, 5, key=jr.key(1))
    assert (sure.often[strong] == 1).all()
    assert float(sure.often.sum()) == pytest.approx(5)
    assert float(sure.null_jaccard) == 1.0
    # Pure noise has no circuit, and two halves agree by chance alone.
    noise = eqx.tree_at(
        lambda s: s.values, scores,
        jr.normal(jr.key(2), scores.values.shape) * jnp.float32(SMALL.exists)[None],
    )  # fmt: skip
    assert float(circuits.bootstrap(noise, 5, key=jr.key(1)).null_jaccard) < 0.3


def test_examples_that_do_not_count_change_nothing():
    _, scores = population(20, 0)
    more = circuits.Scores(
        jnp.concatenate([scores.values, jnp.zeros_like(scores.values[:5])]),
        SMALL, "eap", "resample", "", jnp.arange(25) < 20,
    )  # fmt: skip
    one, two = (circuits.bootstrap(s, 5, key=jr.key(0)) for s in (scores, more))
    np.testing.assert_allclose(one.low, two.low, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="per_example=True"):
        circuits.bootstrap(scores_of(SMALL), 5, key=jr.key(0))


def test_similarities_have_their_known_values():
    from scipy.stats import spearmanr

    a, b = scores_of(SMALL, 0).values, scores_of(SMALL, 1).values
    a = jnp.where(jnp.abs(a) < 0.3, 0, a)  # Ties.
    places = tuple(SMALL.edges.T)
    expected = spearmanr(np.abs(a[places]), np.abs(b[places]))[0]
    found = circuits.rank_correlation(a, b, SMALL)
    assert float(found) == pytest.approx(expected, rel=1e-4)
    assert float(circuits.weighted_jaccard(a, 2 * a)) == pytest.approx(0.5)
    assert float(circuits.jaccard(a != 0, a != 0)) == 1.0
    change = circuits.edits(jnp.array([[1, 1, 0]]), jnp.array([[0, 1, 1]]))
    assert (int(change.added), int(change.deleted), int(change.distance)) == (1, 1, 2)


def test_a_running_mean_starts_where_its_series_does():
    series = jnp.array([4.0, jnp.nan, 2.0, 2.0])
    found = circuits.running_mean(series)
    # Weights 1; 1; (1/4, 1/2) and (1/8, 1/4, 1/2) over their sums.
    expected = [4.0, 4.0, (4 / 4 + 2 / 2) / 0.75, (4 / 8 + 2 / 4 + 2 / 2) / 0.875]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_masks_of_another_graph_are_refused():
    model, pairs = named("plain"), some_pairs()
    with pytest.raises(ValueError, match=r"`circuits` must have the shape \(circuit"):
        circuits.performance(model, pairs, jnp.ones((2, 3, 3)))


def test_growth_has_all_greedy_circuits_in_it():
    scores = scores_of(GROUPED, 4)
    when = circuits.growth(scores)
    # Every edge is reached, each at a place of its own.
    assert sorted(np.asarray(when)[GROUPED.exists]) == list(range(GROUPED.n_edges))
    for n in (1, 9, 40):
        np.testing.assert_array_equal(when < n, circuits.greedy(scores, n))
    family = circuits.nested(scores, [9, 40], grow=True)
    np.testing.assert_array_equal(family[0], when < 9)
    np.testing.assert_array_equal(
        circuits.top(scores, 30, connected=True),
        circuits.pruned(circuits.top(scores, 30), GROUPED),
    )


def test_choosing_is_compiled_for_all_scores_and_sizes():
    traces = []

    @jax.jit
    def choose(values, n):
        traces.append(None)
        scores = circuits.Scores(values, SMALL, "eap", "resample", "")
        return circuits.top(scores, n, connected=True), circuits.greedy(scores, n)

    for seed, n in ((0, 3), (1, 20)):
        scores = scores_of(SMALL, seed)
        top, greedy = choose(scores.values, n)
        np.testing.assert_array_equal(top, circuits.top(scores, n, connected=True))
        np.testing.assert_array_equal(greedy, circuits.greedy(scores, n))
    assert len(traces) == 1


def test_connected_random_circuits_lead_to_the_logits():
    sizes = jnp.array([0, 1, 6, 25])
    found = circuits.random_circuits(SMALL, sizes, connected=True, key=jr.key(0))
    assert found.sum(axis=(1, 2)).tolist() == sizes.tolist()
    for keep in np.asarray(found):
        # What an edge leads to is read by the circuit, or is the logits.
        read = keep.any(axis=1)
        leads = (SMALL.serves & read[None]).any(axis=1) | ~SMALL.serves.any(axis=1)
        assert not keep[:, ~leads].any()
    with pytest.raises(ValueError, match="asked for 999 edges"):
        circuits.random_circuits(SMALL, jnp.array([999]), key=jr.key(0))


@pytest.fixture(scope="module")
def searched():
    """A small model, some order of its edges, and what all of its circuits keep."""
    model, pairs = named("one_layer_no_norm"), some_pairs(4)
    table = graph(model.config)
    scores = scores_of(table, 2)
    sizes = jnp.arange(1, table.n_edges + 1)
    family = circuits.ranks(scores)[None] < sizes[:, None, None]
    traces = []

    def objective(model, pairs):
        traces.append(None)
        logits = model(pairs.clean)[:, -1]
        return logits[:, 1] - logits[:, 2]

    curve = circuits.faithfulness(model, pairs, family, objective=objective).normalised
    ask = lambda **options: circuits.search(
        model, pairs, scores, objective=objective, **options
    )
    return ask, np.asarray(curve), scores, traces


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_search_runs_the_size_below_its_own(searched, share):
    ask, curve, scores, traces = searched
    found = ask(grid=4, at_least=share)
    known = dict(zip(found.sizes.tolist(), found.kept.tolist(), strict=True))
    # Each keeps what it keeps in the whole curve, up to the rounding of a batch.
    for size, kept in known.items():
        assert abs(kept - curve[size - 1]) < 1e-4 * np.abs(curve).max()
    assert known[found.size] == found.faithfulness >= share
    assert found.size == 1 or known[found.size - 1] < share
    assert all(kept < share for size, kept in known.items() if size < found.size)
    np.testing.assert_array_equal(found.keep, circuits.top(scores, found.size))
    # The whole curve is one program, and all rounds of all searches are another.
    assert len(traces) <= 4


def test_a_grid_of_all_sizes_misses_nothing(searched):
    ask, curve, scores, _ = searched
    found = ask(grid=scores.graph.n_edges, at_least=0.3)
    assert found.size == 1 + np.flatnonzero(curve >= 0.3).min()


def test_a_search_for_nothing_is_refused(searched):
    ask, *_ = searched
    with pytest.raises(ValueError, match="`at_least` is a share up to 1"):
        ask(at_least=1.2)
    with pytest.raises(ValueError, match="no behaviour that a circuit could keep"):
        circuits.search(
            named("one_layer_no_norm"),
            some_pairs(4),
            searched[2],
            grid=2,
            objective=lambda model, pairs: 0 * model(pairs.clean)[:, -1, 0],
        )


def test_circuits_are_run_by_span(setting):
    model, pairs, table = setting
    spans = jnp.broadcast_to(jnp.arange(5) // 3, (4, 5))
    keep = jr.bernoulli(jr.key(5), 0.5, table.exists.shape)
    both = jnp.stack([keep, keep])
    ends = jnp.stack([jnp.zeros_like(both), jnp.ones_like(both)])
    family = jnp.concatenate([both[None], ends])
    found = circuits.faithfulness(model, pairs, family, spans=spans, batch_size=3)
    assert found.normalised[1:].tolist() == [0.0, 1.0]
    assert found.sizes[2] == 2 * table.n_edges
    # The same mask in every span is that mask.
    one = circuits.performance(model, pairs, keep[None]).values
    np.testing.assert_allclose(found.performance.values[:1], one, rtol=1e-4, atol=1e-5)
    logits = circuits.run(model, pairs, both, spans=spans)
    np.testing.assert_allclose(
        logits, circuits.run(model, pairs, keep), rtol=1e-4, atol=1e-5
    )
    with pytest.raises(ValueError, match="`spans` goes from 0 to 2"):
        circuits.performance(model, pairs, family, spans=spans * 2)
