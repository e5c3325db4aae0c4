"""Optimal ablation: constants that are learnt."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc import circuits
from jaxcirc.objectives import CrossEntropy, KLTo, LogitDifference

from ..models.toys import toy
from .small import model_of, some_pairs

TINY = dataclasses.replace(toy("plain"), n_heads=2, d_mlp=6, n_layers=1)


def harm(model, pairs, ablation):
    """Divergence from the clean run with everything cut."""
    none = jnp.zeros((1, *circuits.graph(model.config).exists.shape))
    options = {"ablation": ablation, "objective": KLTo(model)}
    return float(circuits.performance(model, pairs, none, **options).mean[0])


def test_learnt_constants_do_less_harm_than_means_and_not_less_than_possible():
    model, pairs = model_of(TINY), some_pairs(6)
    learnt = circuits.Optimal(steps=400, learning_rate=0.03).fitted(model, pairs)
    assert learnt.name == "optimal"
    assert learnt.values.heads.shape == (1, 1, 1, 2, 12)
    found = harm(model, pairs, learnt)
    means = harm(model, pairs, circuits.Mean(of="clean", positions="all"))
    # A model that sees nothing says one thing: at best the mean of all answers.
    p = np.asarray(jax.nn.softmax(model(pairs.clean)[:, -1]), np.float64)
    least = (p * np.log(p / p.mean(axis=0))).sum(axis=1).mean()
    assert least * (1 - 1e-4) <= found
    assert found - least < 0.5 * (means - least)


def test_constants_that_nobody_reads_stay_means():
    model, pairs = model_of(TINY), some_pairs(6)
    keep = jnp.ones(circuits.graph(TINY).exists.shape)
    learnt = circuits.Optimal(keep=keep, loss=CrossEntropy(), steps=3)
    means = circuits.Mean(of="clean", positions="all").fitted(model, pairs).values
    found = learnt.fitted(model, pairs).values
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(means), strict=True):
        np.testing.assert_array_equal(a, b)


def test_scores_name_it():
    model, pairs = model_of(TINY), some_pairs(6)
    brief = circuits.Optimal(steps=2)
    found = circuits.attribute(model, pairs, "eap", ablation=brief)
    assert found.ablation == "optimal"
    assert {row.name for row in circuits.ABLATIONS} >= {"optimal", "mean", "zero"}


def test_what_cannot_be_minimised_is_said():
    with pytest.raises(ValueError, match="Optimal: takes a loss, and LogitDifference"):
        circuits.Optimal(loss=LogitDifference())
    with pytest.raises(ValueError, match="`steps` must not be negative"):
        circuits.Optimal(steps=-1)
