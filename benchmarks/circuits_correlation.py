"""How well do predicted scores of edges agree with patching each of them?

    python benchmarks/circuits_correlation.py      # seven minutes on two cores

Correlation of the scores of all edges with the exact effects, by method and number of
steps, by resampling: on random models of two layers with MLPs, as TransformerLens
initialises them (deviations of 0.8 / √d_model) and with larger noise on all weights,
norms and biases included; and on a model of attention alone that has learnt induction.
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

RANDOM = TransformerConfig(
    d_vocab=50, n_ctx=10, n_layers=2, d_model=32, n_heads=4, d_mlp=None
)
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


def random_pairs(seed: int) -> Pairs:
    """Random sequences with random answers."""
    clean, corrupted = jr.randint(jr.key(seed + 100), (2, 16, 10), 0, 50)
    right = jr.randint(jr.key(seed + 200), (16, 1), 0, 49)
    return Pairs(clean, corrupted, right, right + 1, {"end": jnp.full(16, 9)})


def noisy_model(seed: int) -> Transformer:
    """This library's initial weights, with noise on every one."""
    noise = lambda x: x + 0.1 * jr.normal(jr.fold_in(jr.key(seed), x.size), x.shape)
    return jax.tree.map(noise, Transformer(RANDOM, key=jr.key(seed)))


def initialised_model(seed: int) -> Transformer:
    """Matrices of deviation 0.8 / √d_model; norms do nothing yet, and biases are 0."""
    model = Transformer(RANDOM, key=jr.key(seed))
    deviation = 0.8 / RANDOM.d_model**0.5
    leaves, structure = jax.tree.flatten_with_path(model)
    drawn = [
        deviation * jr.normal(jr.fold_in(jr.key(seed), place), x.shape)
        if path[-1].name.startswith("W_")
        else x
        for place, (path, x) in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, drawn)


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


KINDS = {"initialised": initialised_model, "noisy": noisy_model}


def main(seeds: int) -> None:
    """Every method on every model."""
    random = {
        kind: np.array([correlations(make(n), random_pairs(n)) for n in range(seeds)])
        for kind, make in KINDS.items()
    }
    trained = correlations(*induction_model())
    for i, method in enumerate(METHODS):
        medians = {k: round(float(np.median(x[:, i])), 3) for k, x in random.items()}
        lowest = {k: round(float(x[:, i].min()), 3) for k, x in random.items()}
        report(
            f"circuits_correlation/{method}",
            median=medians,
            lowest=lowest,
            induction=round(trained[i], 3),
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    main(parser.parse_args().seeds)
