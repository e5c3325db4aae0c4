"""Births and deaths of planted features, through dictionaries that were trained."""

import jax.random as jr
import numpy as np
import pytest

from jaxcirc import saes

STEPS = (0, 1, 2, 4, 8, 16, 32, 64)
N, D = 64, 32
BIRTHS = {i: STEPS[2 + i % 4] for i in range(40, 52)}
DEATHS = {i: STEPS[2 + i % 4] for i in range(20, 28)}
# The rarest feature fires on 3.4% of the tokens, and spare latents on fewer than 1%.
RULES = saes.Rules(density=1e-2, stay_density=5e-3)
CONFIG = saes.TopK(d_in=D, d_sae=80, k=3, dead_after=2e4)


def training(**options):
    given = {"steps": 2000, "batch_size": 512, "learning_rate": 3e-3, **options}
    return saes.Training(**given, buffer_batches=8)


def trained(truth, key, start=None, **options):
    return saes.train(
        CONFIG, None, None, truth, training(**options), start=start, key=key
    )


def tokens(truth):
    return truth.sample(8000, key=jr.key(10)).activations


@pytest.fixture(scope="module")
def truth():
    return saes.planted(N, D, l0=3.0, exponent=0.3, key=jr.key(0))


@pytest.mark.slow
def test_births_and_deaths_are_found_within_a_checkpoint(truth):
    run = saes.planted_run(
        truth, STEPS, births=BIRTHS, deaths=DEATHS, drift=0.03, key=jr.key(1)
    )
    made, xs = [], []
    for step in STEPS:
        start = made[-1] if made else None
        now = run.at(step)
        made.append(trained(now, jr.key(5), start).dictionary)
        xs.append(tokens(now))
        found = saes.recovery(made[-1], now, n=4000, key=jr.key(9))
        assert found.directions.mcc > 0.98
    lives = saes.follow(made, STEPS, xs, rules=RULES, key=jr.key(0)).lives
    born, died = named(lives, run, made)
    place = {step: i for i, step in enumerate(STEPS)}
    for found, planted in ((born, BIRTHS), (died, DEATHS)):
        true = [n for n, at in found if abs(place.get(planted.get(n), -9) - at) <= 1]
        assert set(true) == set(planted)
        assert len(found) - len(true) <= 0.05 * len(found)


def named(lives, run, made):
    """Births and deaths as (true feature, checkpoint)."""
    near = [
        np.asarray(saes.cosines(run.at(step).directions, one.W_dec)).argmax(axis=0)
        for step, one in zip(STEPS, made, strict=True)
    ]
    name = lambda i, at: int(near[at][lives.latents[i, at]])
    new = (lives.born >= lives.persist) & (lives.split_of < 0)
    gone = (lives.died >= 0) & (lives.merged_into < 0)
    born = [(name(i, lives.born[i]), lives.born[i]) for i in np.flatnonzero(new)]
    died = [(name(i, lives.last[i]), lives.died[i]) for i in np.flatnonzero(gone)]
    return born, died


@pytest.mark.slow
def test_where_nothing_changes_births_stay_within_those_of_seeds(truth):
    short = {"steps": 1000}
    seeds = trained(truth, jr.key(6), seeds=6, **short)
    made = [trained(truth, jr.key(20), **short).dictionary]
    # Each checkpoint has its own tokens, as in a run whose features stay as they are.
    for i in range(5):
        made.append(trained(truth, jr.key(21 + i), made[-1], **short).dictionary)
    found = saes.follow(
        made,
        range(6),
        tokens(truth),
        rules=RULES,
        seeds=[seeds[i] for i in range(6)],
        key=jr.key(0),
    )
    # Births can be told at the places behind the first two and before the last.
    assert found.lives.births[2:5].mean() <= found.limit(0.95)
    # Without warm starts a checkpoint is but another seed, and no better than those.
    apart = [trained(truth, jr.key(40 + i), **short).dictionary for i in range(6)]
    other = saes.follow(
        apart,
        range(6),
        tokens(truth),
        rules=RULES,
        seeds=[seeds[i] for i in range(6)],
        key=jr.key(0),
    )
    assert other.lives.births[2:5].mean() <= other.limit(0.95)
    assert found.lives.births.sum() <= other.lives.births.sum()
