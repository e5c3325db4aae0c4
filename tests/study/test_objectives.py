"""A study names what its losses and gradients are of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc._core import fold_name
from jaxcirc.checkpoints import open_trajectory
from jaxcirc.objectives import LogitDifference
from jaxcirc.study import StudyError, prepare, run
from jaxcirc.study._measurements._named_objective import named_objective

LLC = (
    "{name: llc, objective: logit_difference, batch_size: 4, num_chains: 2, "
    "num_draws: 8, num_burnin: 4, n_examples: 8}"
)


def test_gradients_and_coefficients_are_of_the_objective_that_is_named(ran, tiny):
    gradients = "{name: gradients, n_examples: 8, objective: logit_difference}"
    study = run(prepare(tiny(f"measure=[{gradients}, {LLC}]")))
    tree = study.open()
    units = {
        ("gradients", "norm"): "logits",
        ("gradients", "noise_scale"): "examples",
        ("llc", "initial_loss"): "logits",
        ("llc", "sampled_loss"): "logits",
    }
    for (row, name), unit in units.items():
        assert tree[row][name].attrs["units"] == unit
    model = open_trajectory(f"{study.training_folder}/seed_0").load(0)
    # A model at its start knows nothing: its loss is a difference of like logits.
    start = np.asarray(tree["llc"]["initial_loss"].sel(step=0))
    assert np.abs(start).max() < 1 < np.log(model.config.d_vocab)


def test_examples_are_what_the_objective_takes(ran):
    prepared, _ = ran
    task, key = prepared.task, jax.random.key(0)
    aim = named_objective("logit_difference")
    pairs = aim.examples(task, 4, key)
    known = task.pairs(4, split="train", key=fold_name(key, "examples"))
    assert jax.tree.all(jax.tree.map(jnp.array_equal, pairs, known))
    # A score is sampled and trained on as its negative.
    uniform = lambda tokens: jnp.broadcast_to(jnp.arange(8.0), (*tokens.shape, 8))
    score = LogitDifference()(uniform, pairs)
    assert np.array_equal(aim.loss(uniform, pairs), -score, equal_nan=True)
    assert aim.value(uniform, pairs).shape == (4,)


@pytest.mark.parametrize("row", ["gradients", "curvature", "llc"])
@pytest.mark.parametrize(
    ("name", "message"),
    [("logit_diff", "logit_difference"), ("kl_to", "'kl_to' cannot be taken")],
)
def test_an_objective_that_cannot_be_taken_is_refused(tiny, row, name, message):
    with pytest.raises(StudyError, match=message):
        prepare(tiny(f"measure=[{{name: {row}, objective: {name}}}]"))
