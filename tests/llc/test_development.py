"""The developmental curve of a model that is trained here: one sweep, every status."""

import math

import jax.random as jr
import numpy as np
import pytest

from jaxcirc import llc
from jaxcirc.models import MODELS
from jaxcirc.objectives import CrossEntropy
from jaxcirc.tasks import TASKS
from jaxcirc.training import Training, train


@pytest.mark.slow
def test_two_seeds_agree_on_the_curve_of_modular_addition(tmp_path):
    task = next(t for t in TASKS if t.name == "mod_add").build(p=29, train_fraction=0.6)
    family = next(m for m in MODELS if m.name == "grokking")
    config = family.build(task.d_vocab, task.n_ctx, d_model=32, d_mlp=128)
    training = Training(
        steps=1500, batch_size=None, learning_rate=3e-3, weight_decay=1.0, every=60
    )
    (trajectory,) = train(config, task, training, str(tmp_path))
    steps = list(trajectory.steps)
    assert len(steps) >= 30
    found = llc.sweep(
        CrossEntropy(),
        trajectory.stack(steps),
        task.examples("train"),
        llc.SGLD(3e-5, gamma=300.0),
        steps=steps,
        seeds=[0, 1],
        batch_size=64,
        num_chains=4,
        num_draws=300,
        num_burnin=1600,
        steps_between_draws=8,
        trivial_loss=math.log(29),
        key=jr.key(0),
    )
    values, errors = found.values, found.standard_errors
    usable = (found.statuses == llc.Status.CONVERGED).all(axis=1)
    assert usable.sum() >= 15
    gap = (values[:, 0] - values[:, 1]) / np.hypot(errors[:, 0], errors[:, 1])
    # Standard normal, if the error bars are honest.
    assert np.abs(gap[usable]).max() < 4
    assert np.mean(np.abs(gap[usable]) < 2) > 0.85
    # It rises when the pairs are learnt, and falls as weight decay simplifies.
    top = int(values.mean(axis=1).argmax())
    assert 0 < top < len(steps) - 1
    assert values[-1].mean() < 0.7 * values[top].mean()
