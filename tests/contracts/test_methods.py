"""Every row of METHODS, held to what all of them owe."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc import circuits
from jaxcirc.circuits import METHODS
from jaxcirc.objectives import KLTo

from ..circuits.small import model_of, some_pairs
from ..models.toys import toy

# What makes a row cheap enough for tests, and asks it for something.
OPTIONS = {
    "acdc": {"threshold": 0.05},
    "edge_pruning": {"target": 12, "steps": 20},
    "eap_ig_inputs": {"steps": 2},
    "eap_ig_activations": {"steps": 2},
}
ROWS = pytest.mark.parametrize("spec", METHODS, ids=lambda spec: spec.name)
ADDS = pytest.mark.parametrize(
    "spec", [s for s in METHODS if s.build().adds], ids=lambda spec: spec.name
)
MODEL = dataclasses.replace(toy("plain"), n_heads=2, d_mlp=6, d_model=8)


def scores(spec, model=None, pairs=None, **options):
    model = model_of(MODEL) if model is None else model
    options = OPTIONS.get(spec.name, {}) | options
    return circuits.attribute(model, pairs or some_pairs(), spec.name, **options)


def close(found, expected, rtol=1e-4):
    """Equal, measured by the largest there is."""
    error = np.abs(np.asarray(found) - np.asarray(expected)).max()
    assert error <= rtol * np.abs(np.asarray(expected)).max()


@functools.cache
def whole(name):
    """Scores of the one model and pairs that most tests look at."""
    return scores(next(spec for spec in METHODS if spec.name == name))


def linear_model():
    """Linear in its inputs: equal attention, no norm, an MLP that is never cut off."""
    config = dataclasses.replace(MODEL, norm="none", activation="relu")
    model = model_of(config)
    model = eqx.tree_at(
        lambda m: (m.blocks.attn.W_Q, m.blocks.attn.b_Q), model,
        replace_fn=jnp.zeros_like,
    )  # fmt: skip
    # Far above zero ReLU is the identity, for every input there is.
    return eqx.tree_at(lambda m: m.blocks.mlp.b_in, model, replace_fn=lambda b: b + 30)


@ROWS
def test_a_row_says_what_it_is(spec):
    method = spec.build()
    assert isinstance(method, circuits.AbstractMethod)
    assert method.name == spec.name
    assert 0 < len(spec.summary) < 80
    assert method.runs >= 1


@ROWS
def test_edges_have_finite_scores_and_others_have_none(spec):
    found = whole(spec.name)
    values = np.asarray(found.values)
    assert values.shape == found.graph.exists.shape
    assert np.isfinite(values).all()
    assert (values[~found.graph.exists] == 0).all()
    assert (values[found.graph.exists] != 0).any()
    if not spec.build().signed:
        assert (values >= 0).all()


@pytest.mark.parametrize(
    "spec", [s for s in METHODS if s.linear], ids=lambda spec: spec.name
)
def test_on_a_linear_model_it_is_the_truth(spec):
    model = linear_model()
    found = scores(spec, model)
    close(found.values, circuits.patch(model, some_pairs()).values)
    # What attends to everything alike does not care what it is asked.
    asks = np.array([name[-2:] in (".q", ".k") for name in found.graph.destinations])
    values = np.abs(np.asarray(found.values))
    assert values[:, asks].max() <= 1e-4 * values.max()


@ADDS
def test_chunks_examples_and_spans_do_not_matter(spec):
    expected, pairs = whole(spec.name).values, some_pairs()
    # Three examples in chunks of two: the last is filled up, and weighs no more.
    spans = jnp.broadcast_to(jnp.arange(pairs.clean.shape[1]) // 3, pairs.clean.shape)
    found = scores(spec, batch_size=2, per_example=True, spans=spans)
    assert found.values.shape == (3, 2, *expected.shape)
    summed = found.mean.sum(axis=0)
    if spec.name not in APART:
        close(summed, expected)
    order = jnp.array([2, 0, 1])
    turned = scores(
        spec, pairs=jax.tree.map(lambda x: x[order], pairs), batch_size=2,
        per_example=True, spans=spans,
    )  # fmt: skip
    close(turned.values, found.values[order])


# Spans of an edge patched one by one do not add up where patching is not linear.
APART = ("exact", "atp_star")


@ROWS
def test_the_sum_over_examples_is_divided_once(spec):
    """Twice the same examples have the same scores: no factor of a batch's size."""
    twice = jax.tree.map(lambda x: jnp.concatenate([x, x]), some_pairs())
    found = scores(spec, pairs=twice)
    close(found.values, whole(spec.name).values, rtol=1e-3)


@ROWS
def test_half_precision_is_summed_in_float32(spec):
    half = lambda x: x.astype(jnp.bfloat16) if eqx.is_inexact_array(x) else x
    found = scores(spec, jax.tree.map(half, model_of(MODEL)))
    assert found.values.dtype == jnp.float32
    assert bool(jnp.isfinite(found.values).all())


@ROWS
def test_a_single_head_is_a_head(spec):
    one = dataclasses.replace(MODEL, n_heads=1, n_layers=1, norm="none")
    # It has eight edges, fewer than a target for the other model.
    options = {"target": 4} if spec.name == "edge_pruning" else {}
    found = scores(spec, model_of(one), some_pairs(2), **options)
    assert found.values.shape == (3, 5)
    assert bool(jnp.isfinite(found.values).all())


@ROWS
def test_an_objective_that_is_flat_at_the_clean_run(spec):
    """A divergence from the clean run has no slope there, and effects all the same."""
    model = model_of(MODEL)
    if spec.build().clean_only:
        with pytest.raises(ValueError, match="KLTo is flat at the clean run"):
            scores(spec, objective=KLTo(model))
    else:
        found = scores(spec, objective=KLTo(model))
        assert bool((found.values != 0).any())


@pytest.mark.parametrize(
    "spec", [s for s in METHODS if not s.build().adds], ids=lambda spec: spec.name
)
def test_a_search_tells_no_examples_apart(spec):
    with pytest.raises(ValueError, match=f"{spec.name} looks at all examples"):
        scores(spec, per_example=True)
