"""What single methods claim, by other ways to the same numbers."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import circuits
from jaxcirc.circuits import _hard_concrete
from jaxcirc.models import (
    Add,
    EdgeMask,
    Replace,
    attention_pattern,
    capture,
    graph,
    written,
)
from jaxcirc.objectives import KLTo, LogitDifference

from ..models.toys import toy
from .small import model_of, some_pairs

SMALL = dataclasses.replace(toy("plain"), n_heads=2, d_mlp=6, d_model=8)
TINY = dataclasses.replace(SMALL, n_layers=1, n_heads=1)


def close(found, expected, rtol=1e-4):
    """Equal, measured by the largest there is."""
    error = np.abs(np.asarray(found) - np.asarray(expected)).max()
    assert error <= rtol * np.abs(np.asarray(expected)).max()


@pytest.fixture(scope="module")
def eap():
    return circuits.attribute(model_of(SMALL), some_pairs(), "eap")


@pytest.fixture(scope="module")
def nodes():
    return circuits.patch_nodes(model_of(SMALL), some_pairs())


def test_a_patched_node_is_one_whose_edges_are_all_cut(nodes):
    model, pairs = model_of(SMALL), some_pairs()
    table = graph(SMALL)
    every = jnp.ones((1, *table.exists.shape))
    keep = 1 - jnp.eye(len(table.sources))[:, :, None] * every
    keep = jnp.concatenate([keep, every])
    values = circuits.performance(model, pairs, keep).mean
    close(nodes.values, values[:-1] - values[-1])


def test_attribution_of_nodes_is_gradient_times_difference(eap):
    """By the gradient at what a node writes: of an MLP not at what it reads."""
    model, pairs = model_of(SMALL), some_pairs()

    @eqx.filter_jit
    def slopes(model):
        shapes = {"embed": (3, 5, 8), "attn.out": (2, 3, 5, 8), "mlp.out": (2, 3, 5, 8)}

        def metric(deltas):
            edits = tuple(Add(site, delta) for site, delta in deltas.items())
            said = lambda tokens: model(tokens, edits=edits)
            return LogitDifference().mean(said, pairs)

        return jax.grad(metric)({site: jnp.zeros(s) for site, s in shapes.items()})

    slope, run = slopes(model), eqx.filter_jit(written)
    clean, corrupted = run(model, pairs.clean), run(model, pairs.corrupted)
    moved = jax.tree.map(lambda a, b: a - b, corrupted, clean)
    embed = (slope["embed"] * moved.embed).sum()
    heads = jnp.einsum("lbpm,lbphm->lh", slope["attn.out"], moved.heads)
    mlps = jnp.einsum("lbpm,lbpm->l", slope["mlp.out"], moved.mlps)
    by_layer = jnp.concatenate([heads, mlps[:, None]], axis=1)
    close(eap.nodes, jnp.concatenate([embed[None], by_layer.ravel()]))


def test_integrated_activations_have_the_whole_effect_of_a_group(nodes):
    """Fundamental theorem: a line of activations ends where its source is patched."""
    found = circuits.attribute(
        model_of(SMALL), some_pairs(), "eap_ig_activations", steps=40, rule="midpoint"
    ).nodes
    alone = np.array(["H" not in name for name in graph(SMALL).sources])
    close(np.asarray(found)[alone], np.asarray(nodes.values)[alone], rtol=0.01)


def no_norm(name):
    """One layer after which everything is linear, norms of queries and keys kept."""
    model = model_of(dataclasses.replace(toy(name), n_layers=1))
    norms = lambda m: (m.ln_final, m.blocks.ln1)
    return eqx.tree_at(norms, model, (None, None), is_leaf=lambda x: x is None)


@pytest.mark.parametrize("name", ["gqa", "qk_norm_of_all"])
def test_behind_the_softmax_a_linear_model_is_patched_exactly(name):
    model, pairs = no_norm(name), some_pairs()
    spans = jnp.broadcast_to(jnp.arange(5) // 3, pairs.clean.shape)
    options = {"spans": spans, "per_example": True}
    truth = circuits.patch(model, pairs, **options)
    found = circuits.attribute(model, pairs, "atp_star", grad_drop=False, **options)
    close(found.values, truth.values)
    # Which the gradient at queries and keys does not say.
    first = circuits.attribute(model, pairs, "eap", **options)
    asks = np.array([name[-2:] in (".q", ".k") for name in found.graph.destinations])
    wrong = np.abs(np.asarray(first.values - truth.values)[..., asks]).max()
    assert wrong > 0.01 * np.abs(np.asarray(truth.values)[..., asks]).max()


def test_patterns_are_those_of_the_run():
    model, pairs = model_of(toy("gemma2_like")), some_pairs()
    sites = ("attn.q", "attn.k", "attn.pattern")
    run = eqx.filter_jit(lambda m: capture(m, pairs.clean, sites)[1])
    acts = run(model)
    again = eqx.filter_jit(attention_pattern)
    for layer in (0, 1):
        found = again(
            model, jnp.asarray(layer), acts["attn.q"][layer], acts["attn.k"][layer]
        )
        close(found, acts["attn.pattern"][layer], rtol=1e-5)


def test_without_its_repairs_it_is_attribution_patching(eap):
    found = circuits.attribute(
        model_of(SMALL), some_pairs(), "atp_star", qk_fix=False, grad_drop=False
    )
    close(found.values, eap.values)


def test_dropped_layers_leave_the_effects_that_pass_them_by():
    model, pairs = model_of(SMALL), some_pairs()
    found = circuits.attribute(
        model, pairs, "atp_star", qk_fix=False, per_example=True
    ).values
    each = circuits.attribute(model, pairs, "eap", per_example=True).values
    # Of two layers, the second feels nothing of the first, nor do the logits.
    late = graph(SMALL).destination_layer >= 1
    close(found[..., late], jnp.abs(each)[..., late])

    # What the first reads is told by a mask whose second layer writes what it wrote.
    @eqx.filter_jit
    def past_the_second(model, pairs):
        sites = ("attn.out", "mlp.out")
        _, acts = capture(model, pairs.clean, sites)
        second = jnp.array([False, True])[:, None, None, None]
        held = [Replace(site, acts[site], second) for site in sites]

        def metric(keep):
            mask = EdgeMask(model, keep, written(model, pairs.corrupted))
            said = lambda tokens: model(tokens, edits=(mask, *held))
            return LogitDifference().mean(said, pairs)

        return jnp.abs(jax.grad(metric)(jnp.ones(graph(SMALL).exists.shape)))

    expected = past_the_second(model, jax.tree.map(lambda x: x[:1], pairs))
    close(found[0][:, ~late], expected[:, ~late])


def test_shares_of_what_is_read_are_those_of_numpy():
    model, pairs = model_of(TINY), some_pairs(2)
    found = circuits.attribute(model, pairs, "information_flow")
    run = eqx.filter_jit(
        lambda m: (
            written(m, pairs.clean),
            capture(m, pairs.clean, ("resid_pre", "mlp.in", "logits.in"))[1],
        )
    )
    own, acts = jax.tree.map(np.asarray, run(model))
    z = np.stack([own.embed + own.pos_embed, own.heads[0, ..., 0, :], own.mlps[0]])
    expected = np.zeros(found.graph.exists.shape)
    reads = [acts["resid_pre"][0]] * 3 + [acts["mlp.in"][0], acts["logits.in"]]
    for d, y in enumerate(reads):
        near = np.abs(y).sum(-1) - np.abs(z - y).sum(-1)
        near = np.maximum(near, 0) * found.graph.exists[:, d, None, None]
        total = near.sum(axis=0)
        share = np.divide(near, total, out=np.zeros_like(near), where=total > 0)
        expected[:, d] = share.mean(axis=(1, 2))
    close(found.values, expected)


@pytest.mark.parametrize("rule", ["size", "increase"])
def test_discovery_drops_edges_in_its_order(rule):
    model, pairs = model_of(TINY), some_pairs()
    options = {"threshold": 0.1, "rule": rule}
    found = circuits.attribute(model, pairs, "acdc", **options).values
    table = graph(TINY)

    @eqx.filter_jit
    def mean(model, keep):
        mask = EdgeMask(model, keep, written(model, pairs.corrupted))
        said = lambda tokens: model(tokens, edits=(mask,))
        return LogitDifference().mean(said, pairs)

    keep = np.ones(table.exists.shape, np.float32)
    expected = np.zeros(table.exists.shape)
    before = float(mean(model, jnp.asarray(keep)))
    for d in reversed(range(len(table.destinations))):
        for s in reversed(np.flatnonzero(table.exists[:, d])):
            keep[s, d] = 0
            after = float(mean(model, jnp.asarray(keep)))
            change = after - before
            if (abs(change) if rule == "size" else change) <= 0.1:
                before = after
            else:
                keep[s, d], expected[s, d] = 1, change
    assert 0 < (expected != 0).sum() < table.n_edges
    assert ((np.asarray(found) != 0) == (expected != 0)).all()
    close(found, expected, rtol=1e-3)


def test_gates_open_as_often_as_is_said():
    log_alpha = jnp.linspace(-4.0, 4.0, 5)
    drawn = jax.vmap(lambda k: _hard_concrete.sampled(log_alpha, k))
    gates = np.asarray(drawn(jr.split(jr.key(0), 20_000)))
    p = np.asarray(_hard_concrete.probability_open(log_alpha))
    # Four standard errors of a share of 20,000.
    np.testing.assert_array_less(
        np.abs((gates > 0).mean(axis=0) - p), 4 * np.sqrt(p * (1 - p) / 20_000)
    )
    assert (gates >= 0).all()
    assert (gates <= 1).all()


@pytest.mark.parametrize("loss", ["divergence", "objective"])
def test_pruning_finds_a_circuit_of_its_size_that_chance_does_not(loss):
    model, pairs = model_of(TINY), some_pairs()
    found = circuits.attribute(
        model, pairs, "edge_pruning", target=4, steps=120, loss=loss
    )
    chosen = found.values != 0
    assert int(chosen.sum()) == 4
    assert bool((found.values <= 1).all())
    assert bool(chosen[:, -1].any())
    every = graph(TINY).edges
    rng = np.random.default_rng(0)
    others = np.zeros((40, *chosen.shape), bool)
    for mask in others:
        mask[tuple(rng.permutation(every)[:4].T)] = True
    masks = jnp.concatenate([chosen[None], jnp.asarray(others)])
    harm = circuits.performance(model, pairs, masks, objective=KLTo(model)).mean
    assert float(harm[0]) < np.quantile(harm[1:], 0.2)


def test_more_edges_than_there_are_cannot_stay_open():
    with pytest.raises(ValueError, match="`target` is 99, and the model has 8 edges"):
        circuits.attribute(model_of(TINY), some_pairs(), "edge_pruning", target=99)


BAD = {
    "acdc": ({"threshold": -1.0}, "`threshold` must be at least 0"),
    "edge_pruning": ({"steps": 0}, "`target` and `steps` must be at least 1"),
    "eap_ig_activations": ({"steps": 0}, "`steps` must be at least 1; got 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_options_out_of_range_are_said(name):
    options, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        circuits.attribute(model_of(TINY), some_pairs(), name, **options)
