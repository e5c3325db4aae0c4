"""Planted births and deaths are found, and seeds alone are not taken for change."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import saes

from .made import dictionary, unit

STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)
N, D = 128, 64


def seen(rng, rows, *, missed, junk=8):
    """What one seed makes of true directions: most of them, noisy, in its own order.

    Returns the dictionary, and for each latent the row that it is, or -1.
    """
    which = np.flatnonzero(rng.random(len(rows)) >= missed)
    found = rows[which] + rng.normal(size=(len(which), D)) * 0.2 / np.sqrt(D)
    # A latent keeps its count: what is missed becomes junk, different in every seed.
    fill = len(rows) - len(which) + junk
    every = np.concatenate([found, unit(rng, fill, D)])
    names = np.concatenate([which, np.full(fill, -1)])
    order = rng.permutation(len(every))
    return dictionary(every[order], bias=-0.4), names[order]


@pytest.fixture(scope="module")
def run():
    truth = saes.planted(N, D, l0=4.0, key=jr.key(0))
    births = {i: STEPS[2 + i % 6] for i in range(30)}
    deaths = {i: STEPS[2 + i % 6] for i in range(30, 50)}
    return saes.planted_run(
        truth, STEPS, births=births, deaths=deaths, drift=0.05, key=jr.key(1)
    )


@pytest.fixture(scope="module")
def followed(run):
    rng = np.random.default_rng(0)
    made, names, xs = [], [], []
    for step in STEPS:
        now = run.at(step)
        alive = np.flatnonzero(now.alive)
        one, which = seen(rng, np.asarray(now.directions)[alive], missed=0.02, junk=4)
        # Room for those that are not there yet, or no longer: latents that are junk.
        spare = N - len(alive)
        rows = np.concatenate([np.asarray(one.W_dec), unit(rng, spare, D)])
        made.append(dictionary(rows, bias=-0.4))
        names.append(np.append(np.where(which < 0, -1, alive[which]), [-1] * spare))
        xs.append(now.sample(1000, key=jr.key(2)).activations)
    return saes.follow(made, STEPS, xs, key=jr.key(3)), names


def name_of(lives, names, life):
    """Which feature a life is of, where it was first seen; -1 for junk."""
    born = lives.born[life]
    return names[born][lives.latents[life, born]]


def test_planted_births_and_deaths_are_found_within_one_checkpoint(run, followed):
    lives, names = followed[0].lives, followed[1]
    place = {step: i for i, step in enumerate(STEPS)}
    planted = {i: place[int(s)] for i, s in enumerate(run.born) if s > 0}
    dying = {i: place[int(s)] for i, s in enumerate(run.dies) if s <= STEPS[-1]}
    births = {
        name_of(lives, names, i): lives.born[i] for i in np.flatnonzero(lives.born)
    }
    assert len(planted) == 30
    for feature, born in planted.items():
        assert abs(births[feature] - born) <= 1, feature
    deaths = {
        name_of(lives, names, i): lives.died[i] for i in np.flatnonzero(lives.died >= 0)
    }
    assert len(dying) == 20
    for feature, died in dying.items():
        assert abs(deaths[feature] - died) <= 1, feature


def test_few_births_are_false(run, followed):
    lives, names = followed[0].lives, followed[1]
    found = [name_of(lives, names, i) for i in np.flatnonzero(lives.born >= 2)]
    born = set(np.flatnonzero(np.asarray(run.born) > 0))
    false = [name for name in found if name not in born]
    assert len(found) >= 30
    assert len(false) <= 0.05 * len(found)
    assert lives.births.sum() == len(found)
    assert lives.births[0] == 0


def test_drift_is_by_how_much_directions_turn(run, followed):
    lives = followed[0].lives
    drift = np.nanmedian(lives.drift[:, 1:])
    # Noise of length .2 on both directions turns them apart as well.
    turned = 1 - np.cos(0.05)
    apart = 1 - 1 / (1 + 0.2**2)
    assert turned < drift < 1.3 * (turned + apart)
    assert np.isnan(lives.drift[:, 0]).all()


def test_where_nothing_changes_births_are_those_of_seeds():
    rng = np.random.default_rng(1)
    rows = unit(rng, N, D)
    x = jnp.asarray(rng.normal(size=(600, D)), jnp.float32)
    same = [seen(rng, rows, missed=0.2)[0] for _ in range(8)]
    seeds = [seen(rng, rows, missed=0.2)[0] for _ in range(8)]
    found = saes.follow(same, range(8), x, seeds=seeds, key=jr.key(0))
    # Seeds miss features, so that some seem to be born; there is no other reason.
    assert found.lives.births.sum() > 0
    assert found.lives.births[2:7].mean() <= found.limit(0.95)
    # What is planted on top of it stands out.
    grown = [seen(rng, rows[: N // 2], missed=0.2)[0] for _ in range(3)] + [
        seen(rng, rows, missed=0.2)[0] for _ in range(5)
    ]
    sizes = max(len(one.W_dec) for one in grown)
    grown = [
        dictionary(
            np.concatenate([one.W_dec, unit(rng, sizes - len(one.W_dec), D)]), -0.4
        )
        for one in grown
    ]
    changed = saes.follow(grown, range(8), x, seeds=seeds, key=jr.key(0))
    assert changed.lives.births[3] > changed.limit(0.99)


def test_tokens_say_how_sure_a_birth_is():
    rng = np.random.default_rng(2)
    rows = unit(rng, 6, 16)
    before, after = dictionary(rows[:5], -0.5), dictionary(rows, -0.5)
    # Latents that fire on every tenth token, and one on two of 400.
    x = np.zeros((400, 16))
    for i in range(5):
        x[i::10] = 2 * rows[i]
    x[[7, 17]] = 2 * rows[5]
    rules = saes.Rules(density=1e-3, stay_density=1e-3)
    before = dictionary(np.concatenate([rows[:5], unit(rng, 1, 16)]), -0.5)
    found = saes.follow(
        [before, before, after, after],
        range(4),
        jnp.asarray(x, jnp.float32),
        rules=rules,
        resamples=60,
        key=jr.key(0),
    )
    sure = found.support[found.lives.born == 0]
    assert sure[:5].min() == 1.0
    (rare,) = found.support[found.lives.born == 2]
    # Two tokens of 400 are drawn not once with probability exp(-2).
    assert abs(rare - (1 - np.exp(-2))) < 4 * np.sqrt(0.12 / 60)


def test_activations_are_drawn_again_as_well():
    rng = np.random.default_rng(3)
    rows = unit(rng, 6, 16)
    x = jnp.asarray(rng.normal(size=(240, 16)), jnp.float32)
    one = dictionary(rows)
    found = saes.follow(
        [one] * 3, range(3), x, by="activations", resamples=3, block=8, key=jr.key(0)
    )
    assert found.lives.latents.tolist() == [[i] * 3 for i in range(6)]
    assert (found.support == 1).all()


def by_name(names):
    """Similarities of latents that have names: 1 for the same one, else 0."""
    return lambda a, b: (names[a][:, None] == names[b][None, :]).astype(float)


def test_short_absences_are_bridged_and_long_ones_are_deaths():
    names = [np.array(row) for row in ([0, 1, 2], [0, 9, 2], [0, 1, 8], [0, 1, 7])]
    found = saes.lives(by_name(names), [np.full(3, 0.1)] * 4, (0, 1, 3, 7))
    assert found.latents.tolist() == [[0, 0, 0, 0], [1, -1, 1, 1], [2, 2, -1, -1]]
    assert found.died.tolist() == [-1, -1, 2]
    assert found.deaths.tolist() == [0, 0, 1, 0]
    assert found.births.tolist() == [0, 0, 0, 0]
    assert found.fleeting.tolist() == [0, 1, 1, 1]
    assert found.present[1].all()


def test_an_end_that_is_too_near_to_tell_is_no_death():
    names = [np.array(row) for row in ([0, 1], [0, 1], [0, 9])]
    found = saes.lives(by_name(names), [np.full(2, 0.1)] * 3, range(3))
    assert found.died.tolist() == [-1, -1]


def test_what_is_established_stays_above_the_lower_threshold():
    near = {(0, 1): 0.8, (1, 2): 0.65, (2, 3): 0.65}
    table = lambda a, b: np.array([[near.get((a, b), 0.0)]])
    density = [np.array([0.1])] * 4
    assert saes.lives(table, density, range(4)).latents.tolist() == [[0, 0, 0, 0]]
    near[0, 1] = 0.65
    assert saes.lives(table, density, range(4)).latents.tolist() == []
    fading = [np.array([p]) for p in (1e-4, 5e-6, 5e-6, 5e-6)]
    near[0, 1] = 0.8
    assert saes.lives(table, fading, range(4)).latents.tolist() == [[0, 0, 0, 0]]


def test_a_part_of_a_feature_is_neither_born_nor_does_it_die():
    # Two features; from the third checkpoint to the fifth a twin of the first.
    rows = [np.eye(2, 4)] * 2 + [np.eye(3, 4)] * 3 + [np.eye(2, 4)] * 3
    for twin in rows[2:5]:
        twin[2] = (0.8, 0, 0.6, 0)
    table = lambda a, b: rows[a] @ rows[b].T
    densities = [np.full(len(r), 0.1) for r in rows]
    found = saes.lives(table, densities, range(8))
    assert found.latents[2].tolist() == [-1, -1, 2, 2, 2, -1, -1, -1]
    assert found.split_of.tolist() == found.merged_into.tolist() == [-1, -1, 0]
    assert found.births.sum() == found.deaths.sum() == 0
    assert found.splits.tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    assert found.merges.tolist() == [0, 0, 0, 0, 0, 1, 0, 0]


def test_splits_and_merges():
    before = np.eye(4, 6)
    half = np.sqrt(0.5)
    after = np.eye(4, 6)
    after[0], after[3] = (half, 0, 0, 0, half, 0), (half, 0, 0, 0, -half, 0)
    cosines = lambda a, b: saes.cosines(*(jnp.asarray(v, jnp.float32) for v in (a, b)))
    across = cosines(before, after)
    assert saes.splits(across, cosines(before, before)) == {0: (0, 3)}
    assert saes.splits(across.T, cosines(after, after)) == {}
    back = cosines(after, before)
    assert saes.splits(back.T, cosines(before, before)) == {0: (0, 3)}
    # Two of a kind before and after is no split.
    twice = np.concatenate([before, before[:1]])
    assert saes.splits(cosines(twice, twice), cosines(twice, twice)) == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": (1, 0)}, "must ascend"),
        ({"densities": [np.ones(2)]}, "each of the 2 checkpoints"),
    ],
)
def test_lives_need_steps_and_densities(change, message):
    options = {"steps": (0, 1), "densities": [np.ones(2)] * 2, **change}
    with pytest.raises(ValueError, match=message):
        saes.lives(lambda a, b: np.eye(2), **options)


def test_what_cannot_be_followed_is_refused():
    one, x = dictionary(np.eye(3)), jax.numpy.ones((10, 3))
    with pytest.raises(ValueError, match="2 dictionaries, 3 steps"):
        saes.follow([one] * 2, range(3), x, key=jr.key(0))
    with pytest.raises(ValueError, match="blocks of 4"):
        saes.follow([one] * 2, range(2), x, block=4, key=jr.key(0))
    with pytest.raises(ValueError, match="at least 4"):
        saes.follow([one] * 2, range(2), x, seeds=[one] * 3, key=jr.key(0))
    with pytest.raises(ValueError, match="lower thresholds"):
        saes.Rules(stay=0.9)
    with pytest.raises(ValueError, match="`persist` must be"):
        saes.Rules(persist=0)
