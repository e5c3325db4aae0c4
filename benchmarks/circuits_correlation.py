"""How well do predicted scores of edges agree with patching each of them?

    python benchmarks/circuits_correlation.py      # four minutes on two cores

Correlation of the scores of all edges with the exact effects, by method and number of
steps, by resampling: on random models of two layers with MLPs, with noise on all of
their weights, and on a model of attention alone that has learnt induction.
"""

import argparse
import tempfile

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from _harness import report

from jaxcirc import circuits
from jaxcirc.models import Transformer, TransformerConfig
from jaxcirc.tasks import TASKS, Pairs
from jaxcirc.training import Training, train

METHODS = (
    circuits.EAP(),
    circuits.CleanCorrupted(),
    circuits.AtPStar(grad_drop=False),
    circuits.EAPIGInputs(steps=2),
    circuits.EAPIGInputs(steps=5),
    circuits.EAPIGInputs(steps=5, rule="midpoint"),
    circuits.EAPIGInputs(steps=30),
    circuits.EAPIGActivations(steps=5),
)


def random_model(seed: int) -> tuple[Transformer, Pairs]:
    """Weights of unit scale, and random sequences with random answers."""
    config = TransformerConfig(
        d_vocab=50, n_ctx=10, n_layers=2, d_model=32, n_heads=4, d_mlp=None
    )
    model = Transformer(config, key=jr.key(seed))
    noise = lambda x: x + 0.1 * jr.normal(jr.fold_in(jr.key(seed), x.size), x.shape)
    clean, corrupted = jr.randint(jr.key(seed + 100), (2, 16, 10), 0, 50)
    right = jr.randint(jr.key(seed + 200), (16, 1), 0, 49)
    end = {"end": jnp.full(16, 9)}
    pairs = Pairs(clean, corrupted, right, right + 1, end)
    return jax.tree.map(noise, model), pairs


def induction_model() -> tuple[Transformer, Pairs]:
    """Two layers of attention after a thousand steps of the packaged task."""
    (row,) = [row for row in TASKS if row.name == "induction"]
    task = row.build()
    config = TransformerConfig(
        d_vocab=task.d_vocab, n_ctx=task.n_ctx, n_layers=2, d_model=64, n_heads=4
    )
    training = Training(steps=1000, batch_size=64, learning_rate=1e-3)
    with tempfile.TemporaryDirectory() as folder:
        (trajectory,) = train(config, task, training, folder)
        model = trajectory.load(trajectory.steps[-1])
    return model, circuits.pairs(task, 64, split="test", key=jr.key(3))


def correlations(model: Transformer, pairs: Pairs) -> list[float]:
    """Pearson's correlation over all edges, for each method."""
    truth = circuits.patch(model, pairs)
    places = truth.graph.exists
    exact, found = np.asarray(truth.values)[places], []
    for method in METHODS:
        scores = circuits.attribute(model, pairs, method)
        predicted = np.asarray(scores.values)[places]
        found.append(float(np.corrcoef(predicted, exact)[0, 1]))
    return found


def main(seeds: int) -> None:
    """Every method on every model."""
    random = np.array([correlations(*random_model(seed)) for seed in range(seeds)])
    trained = correlations(*induction_model())
    for i, method in enumerate(METHODS):
        report(
            f"circuits_correlation/{method}",
            random_median=round(float(np.median(random[:, i])), 3),
            random_lowest=round(float(random[:, i].min()), 3),
            induction=round(trained[i], 3),
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    main(parser.parse_args().seeds)
