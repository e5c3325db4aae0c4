"""Metrics against frozen numbers of TransformerLens and powerlaw."""

import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc import metrics

from .inputs import HEADS, PERIOD, patterns, samples, weights as arrays

pytestmark = pytest.mark.optimized  # as users see them

FROZEN = json.loads((pathlib.Path(__file__).parent / "metrics.json").read_text())


def weights():
    return {name: jnp.asarray(x) for name, x in arrays().items()}


@pytest.mark.parametrize(
    ("name", "score", "rows"),
    [
        ("previous_token", metrics.previous_token_score, 2 * PERIOD),
        (
            "duplicate_token",
            lambda p: metrics.duplicate_token_score(p, period=PERIOD),
            PERIOD,
        ),
        ("induction", lambda p: metrics.induction_score(p, period=PERIOD), PERIOD),
    ],
)
def test_head_scores_are_those_of_transformer_lens(name, score, rows):
    """It divides by the attention of all rows, where ours is a mean over some."""
    for pattern, theirs in zip(patterns(), FROZEN["heads"][name], strict=True):
        ours = float(score(jnp.asarray(pattern))) * rows / len(pattern)
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_compositions_are_those_of_transformer_lens():
    w = weights()
    T = lambda x: jnp.swapaxes(x, -1, -2)
    readers = {
        "q": (w["W_Q"], T(w["W_K"])),
        "k": (w["W_K"], T(w["W_Q"])),
        "v": (w["W_V"], w["W_O"]),
    }
    for name, (read, rest) in readers.items():
        theirs = np.array(FROZEN["circuits"][f"composition_{name}"])
        for i, j in np.ndindex(HEADS, HEADS):
            ours = metrics.composition_score(
                w["W_V"][0, i], w["W_O"][0, i], read[1, j], rest[1, j]
            )
            assert float(ours) == pytest.approx(theirs[0, i, 1, j], rel=1e-4)


def test_eigenvalue_scores_are_those_of_transformer_lens():
    w = weights()
    copying = np.array(FROZEN["circuits"]["copying"])
    matching = np.array(FROZEN["circuits"]["matching"])
    for i, j in np.ndindex(2, HEADS):
        ours = metrics.copying_score(w["W_E"], w["W_V"][i, j], w["W_O"][i, j], w["W_U"])
        assert float(ours) == pytest.approx(copying[i, j], abs=1e-4)
        ours = metrics.matching_score(w["W_E"], w["W_Q"][i, j], w["W_K"][i, j])
        assert float(ours) == pytest.approx(matching[i, j], abs=1e-4)


@pytest.mark.parametrize("name", ["pareto", "body_and_tail"])
def test_power_laws_are_those_of_powerlaw(name):
    theirs = FROZEN["tails"][name]
    ours = metrics.heavy_tail(jnp.asarray(samples()[name], jnp.float32))
    assert float(ours.alpha) == pytest.approx(theirs["alpha"], rel=0.02)
    assert float(ours.ks) == pytest.approx(theirs["ks"], abs=0.01)


def test_a_spectrum_without_a_tail_is_fitted_better_than_by_powerlaw():
    """Version 2 keeps the exponent below 3 by default, where this one is near 10."""
    theirs = FROZEN["tails"]["spectrum"]
    ours = metrics.heavy_tail(jnp.asarray(samples()["spectrum"], jnp.float32))
    assert theirs["alpha"] < 3
    assert float(ours.ks) < theirs["ks"]
    assert float(ours.alpha) > 6
