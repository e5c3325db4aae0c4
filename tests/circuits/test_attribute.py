"""Scores of edges: against patching by hand, gradients of masks, and linear models."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import circuits
from jaxcirc.models import Add, EdgeMask, Transformer, capture, graph, written
from jaxcirc.objectives import LogitDifference

from ..models.toys import TOYS, toy
from .small import N_POS, model_of, named, some_pairs

# Between them: grouped heads, rotary and learned positions, attention beside the MLP,
# norms before, after and both, none of them, one head, no MLP, bidirectional, clipped.
KINDS = {
    "gqa_parallel": dataclasses.replace(toy("gqa"), parallel=True, d_mlp=8),
    "norm_both": toy("norm_both"),
    "norm_after_attention_only": dataclasses.replace(toy("norm_after"), d_mlp=0),
    "one_head_no_norm_bidirectional": dataclasses.replace(
        toy("one_layer_no_norm"), n_heads=1, n_layers=2, causal=False
    ),
    "clipped": toy("clipped"),
}
EVERY = [name for name in TOYS if toy(name).norm_position != "stream"]


def close(found, expected, rtol=1e-5):
    """Equal, measured by the largest there is."""
    error = np.abs(np.asarray(found) - np.asarray(expected)).max()
    assert error <= rtol * np.abs(np.asarray(expected)).max()


def by_hand(model: Transformer, pairs) -> np.ndarray:
    """Every edge patched at the input of its destination, split for each head."""
    c, table = model.config, graph(model.config)
    run = eqx.filter_jit(written)
    clean, corrupted = run(model, pairs.clean), run(model, pairs.corrupted)
    differences = _in_order(corrupted, c) - _in_order(clean, c)
    heads, keys, layers = c.n_heads, c.sizes.n_kv_heads, c.n_layers

    def adds(destination: str, moved):
        """The same delta at all sites, times one for what is patched and zero else."""
        node, _, part = destination.partition(".")
        at_logits = destination == "logits"
        layer = 0 if at_logits else int(node[1:].replace("G", "H").split("H")[0])
        flags = {}
        for x in "qkv":
            flag = np.zeros((layers, 1, 1, heads, 1), np.float32)
            if part == x:
                place, size = int(node.replace("G", "H").split("H")[1]), 1
                if "G" in node:
                    size = heads // keys
                flag[layer, ..., place * size : (place + 1) * size, :] = 1
            flags[f"attn.{x}_in"] = flag
        mlp = np.zeros((layers, 1, 1, 1), np.float32)
        mlp[layer] = part == "mlp"
        flags["mlp.in"] = mlp
        flags["logits.in"] = np.array([[[at_logits]]], np.float32)
        return flags

    there = [s for s in ("attn.q_in", "attn.k_in", "attn.v_in", "mlp.in", "logits.in")]
    if not c.sizes.d_mlp:
        there.remove("mlp.in")

    @eqx.filter_jit
    @eqx.filter_vmap(in_axes=(None, 0, 0))
    def value(model, flags, moved):
        def delta(site):
            wide = moved[..., None, :] if site.startswith("attn") else moved
            return flags[site] * (wide if site == "logits.in" else wide[None])

        patched = lambda tokens: model(
            tokens, edits=tuple(Add(site, delta(site)) for site in there)
        )
        return LogitDifference().mean(patched, pairs)

    asked = [(differences[s], table.destinations[d]) for s, d in table.edges]
    asked.append((0 * differences[0], "logits"))
    flags = [adds(destination, None) for _, destination in asked]
    flags = {site: jnp.stack([flag[site] for flag in flags]) for site in there}
    values = value(model, flags, jnp.stack([moved for moved, _ in asked]))
    out = np.zeros(table.exists.shape)
    out[tuple(table.edges.T)] = np.asarray(values[:-1] - values[-1])
    return out


def _in_order(found, c):
    """Sources in the order of the graph, written out."""
    embed = found.embed if found.pos_embed is None else found.embed + found.pos_embed
    rows = [embed]
    for layer in range(c.n_layers):
        rows += [found.heads[layer][..., head, :] for head in range(c.n_heads)]
        rows += [] if found.mlps is None else [found.mlps[layer]]
    return jnp.stack(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_patching_is_what_it_is_by_hand(kind):
    model, pairs = model_of(KINDS[kind]), some_pairs()
    found = circuits.patch(model, pairs)
    assert found.values.shape == found.graph.exists.shape
    close(found.values, by_hand(model, pairs))


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_patching_is_what_it_is_by_hand_in_every_model(name):
    model, pairs = named(name), some_pairs()
    close(circuits.patch(model, pairs).values, by_hand(model, pairs))


@pytest.mark.parametrize("kind", KINDS)
def test_first_order_scores_are_gradients_by_the_mask(kind):
    """Two ways to the same derivative: through the mask, and through the inputs."""
    model, pairs = model_of(KINDS[kind]), some_pairs()
    scores = circuits.attribute(model, pairs, "eap", batch_size=2)

    @eqx.filter_jit
    def by_mask(model):
        def metric(keep):
            mask = EdgeMask(model, keep, written(model, pairs.corrupted))
            masked = lambda tokens: model(tokens, edits=(mask,))
            return LogitDifference().mean(masked, pairs)

        return -jax.grad(metric)(jnp.ones(scores.values.shape))

    close(scores.values, by_mask(model), rtol=1e-4)


def linear_model() -> Transformer:
    """Attention to all positions alike, no norm, no MLP: linear in embeddings."""
    config = dataclasses.replace(toy("attention_only"), norm="none", n_layers=3)
    model = model_of(config)
    flat = lambda m: (m.blocks.attn.W_Q, m.blocks.attn.b_Q)
    return eqx.tree_at(flat, model, replace_fn=jnp.zeros_like)


def test_on_a_linear_model_prediction_is_truth():
    model, pairs = linear_model(), some_pairs()
    truth = circuits.patch(model, pairs).values
    for method in ("eap", "eap_ig_inputs", "clean_corrupted"):
        found = circuits.attribute(model, pairs, method)
        close(found.values, truth, rtol=1e-4)
        # What reaches the logits over all last edges is the whole difference.
        both = [
            LogitDifference().mean(model, pairs._replace(clean=tokens))
            for tokens in (pairs.clean, pairs.corrupted)
        ]
        close(found.values[:, -1].sum(), both[1] - both[0], rtol=1e-4)


def test_examples_and_spans_add_up_to_the_score():
    model, pairs = model_of(KINDS["gqa_parallel"]), some_pairs()
    whole = circuits.attribute(model, pairs, "eap")
    each = circuits.attribute(model, pairs, "eap", per_example=True, batch_size=2)
    assert each.values.shape == (3, *whole.values.shape)
    assert each.counts is not None
    assert bool(each.counts.all())
    close(each.mean, whole.values)
    spans = jnp.broadcast_to(jnp.arange(N_POS) // 3, pairs.clean.shape)
    by_span = circuits.attribute(model, pairs, "eap", spans=spans, batch_size=2)
    assert by_span.values.shape == (2, *whole.values.shape)
    close(by_span.values.sum(axis=0), whole.values)


def test_spans_of_exact_patches_are_cut_one_by_one():
    model, pairs = model_of(KINDS["clipped"]), some_pairs()
    spans = jnp.broadcast_to(jnp.arange(N_POS) // 3, pairs.clean.shape)
    found = circuits.patch(model, pairs, spans=spans, per_example=True)
    assert found.values.shape[:2] == (3, 2)
    table = found.graph
    place = (1, table.sources.index("L0H1"), table.destinations.index("L1H0.v"))
    keep = jnp.ones((2, *table.exists.shape)).at[place].set(0)
    instead = eqx.filter_jit(written)(model, pairs.corrupted)
    mask = EdgeMask(model, keep, instead, spans=spans)

    @eqx.filter_jit
    def each(model, edits):
        return LogitDifference()(lambda tokens: model(tokens, edits=edits), pairs)

    change = each(model, (mask,)) - each(model, ())
    np.testing.assert_allclose(found.values[:, *place], change, rtol=1e-3, atol=1e-6)


def test_a_pair_without_answers_has_no_part_in_the_mean():
    model, pairs = model_of(KINDS["clipped"]), some_pairs()
    silent = pairs._replace(right=pairs.right.at[1].set(-1))
    others = jax.tree.map(lambda x: x[jnp.array([0, 2])], pairs)
    found = circuits.attribute(model, silent, "eap", batch_size=2).values
    close(found, circuits.attribute(model, others, "eap", batch_size=2).values)


def test_positions_as_a_source_carry_nothing_when_resampled():
    model, pairs = named("plain"), some_pairs()
    found = circuits.attribute(model, pairs, "eap", positions=True)
    whole = circuits.attribute(model, pairs, "eap")
    assert found.graph.sources[1] == "pos_embed"
    assert (found.values[1] == 0).all()
    close(jnp.delete(found.values, 1, axis=0), whole.values)
    # Ablated to nothing they do, and what is attributed to both together is the sum.
    found = circuits.attribute(model, pairs, "eap", positions=True, ablation="zero")
    assert (found.values[1] != 0).any()
    whole = circuits.attribute(model, pairs, "eap", ablation="zero")
    assert whole.ablation == "zero"
    close(found.values[:2].sum(axis=0), whole.values[0])


@pytest.mark.parametrize("of", ["corrupted", "clean", "both"])
@pytest.mark.parametrize("positions", ["each", "all"])
def test_means_are_those_of_numpy(of, positions):
    model, pairs = named("plain"), some_pairs()
    fitted = circuits.Mean(of=of, positions=positions).fitted(model, pairs)
    tokens = {
        "clean": pairs.clean,
        "corrupted": pairs.corrupted,
        "both": jnp.concatenate([pairs.clean, pairs.corrupted]),
    }[of]
    _, acts = capture(model, tokens, ["attn.result", "mlp.out"])
    axes = (0,) if positions == "each" else (0, 1)
    put = fitted(model, pairs)
    assert put.heads.shape == (2, 3, N_POS, 3, 12)
    for layer in range(2):
        assert put.mlps is not None
        heads = np.asarray(acts["attn.result"][layer]).mean(axis=axes)
        mlps = np.asarray(acts["mlp.out"][layer]).mean(axis=axes)
        np.testing.assert_allclose(
            put.heads[layer], np.broadcast_to(heads, put.heads[layer].shape), rtol=1e-4,
            atol=1e-6,
        )  # fmt: skip
        np.testing.assert_allclose(
            put.mlps[layer], np.broadcast_to(mlps, put.mlps[layer].shape), rtol=1e-4,
            atol=1e-6,
        )  # fmt: skip


def test_models_of_one_shape_are_one_program():
    model, pairs = model_of(KINDS["clipped"]), some_pairs()
    traces = []

    def counted(model, pairs):
        traces.append(None)
        return LogitDifference()(model, pairs)

    for scale in (1.0, 1.1, 1.2):
        circuits.attribute(
            jax.tree.map(lambda x, scale=scale: x * scale, model),
            pairs,
            "eap_ig_inputs",
            objective=counted,
        )
    first = len(traces)
    circuits.attribute(model, some_pairs(seed=7), "eap_ig_inputs", objective=counted)
    assert len(traces) == first


def test_stacked_checkpoints_are_a_vmap():
    model, pairs = model_of(KINDS["clipped"]), some_pairs()
    other = jax.tree.map(lambda x: 1.1 * x, model)
    stacked = jax.tree.map(lambda *x: jnp.stack(x), model, other)
    both = eqx.filter_vmap(lambda m: circuits.attribute(m, pairs, "eap").values)(
        stacked
    )
    close(both[0], circuits.attribute(model, pairs, "eap").values, rtol=1e-4)
    close(both[1], circuits.attribute(other, pairs, "eap").values, rtol=1e-4)


def test_quadratures_add_up_to_the_whole_difference():
    """Fundamental theorem: with many steps, what reaches the logits is all of it."""
    model, pairs = model_of(KINDS["norm_both"]), some_pairs()
    at = lambda tokens: float(
        LogitDifference().mean(model, pairs._replace(clean=tokens))
    )
    whole = at(pairs.corrupted) - at(pairs.clean)
    errors = {}
    for rule in ("left", "midpoint", "trapezoid"):
        found = circuits.attribute(
            model, pairs, "eap_ig_inputs", steps=50, rule=rule
        ).values
        # The line is one of embeddings, so the edges out of it have the whole of it.
        errors[rule] = abs(float(found[0].sum()) - whole) / abs(whole)
    assert errors["midpoint"] < 0.01
    assert errors["trapezoid"] < 0.01
    assert errors["left"] < 0.1


def _flat(model, pairs):
    said = model(pairs.clean)
    return jnp.square(said - jax.lax.stop_gradient(said)).sum(axis=(1, 2))


BAD = {
    "lengths": (
        lambda p: p._replace(corrupted=p.corrupted[:, :-1]),
        {},
        r"must both have the shape .* partners of one length",
    ),
    "answers": (
        lambda p: p._replace(wrong=p.right),
        {},
        "the answer 1 is both right and wrong",
    ),
    "silent": (
        lambda p: p._replace(right=jnp.full((3, 1), -1)),
        {},
        "none of the 3 pairs has a right and a wrong answer",
    ),
    "method": (lambda p: p, {"method": "eapp"}, "did you mean 'eap'"),
    "ablation": (lambda p: p, {"ablation": "nul"}, "unknown ablation 'nul'"),
    "option": (lambda p: p, {"stepz": 3}, "unexpected keyword argument 'stepz'"),
    "steps": (
        lambda p: p,
        {"method": "eap_ig_inputs", "steps": 0},
        "`steps` must be at least 1",
    ),
    "unaligned": (
        lambda p: p._replace(positions={"end": jnp.array([4, 3, 4])}),
        {"ablation": "mean"},
        r"position `end` is at different places .* Mean\(positions='all'\)",
    ),
    "flat": (
        lambda p: p,
        {"objective": lambda m, p: jnp.square(m(p.clean) - 0).sum((1, 2)) * 0},
        "is flat at the clean run .* 'eap_ig_inputs'",
    ),
    "total": (
        lambda p: p,
        {"objective": lambda m, p: m(p.clean).sum()},
        "one value for each of the 3 pairs",
    ),
    "other": (
        lambda p: p,
        {"objective": lambda m, p: m(p.corrupted).sum((1, 2))},
        "may call the model on `pairs.clean` alone",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_said(case):
    change, options, message = BAD[case]
    options = {"method": "eap"} | options
    with pytest.raises(ValueError, match=message):
        circuits.attribute(model_of(KINDS["clipped"]), change(some_pairs()), **options)


def test_an_example_that_does_not_fit_is_said_with_its_size():
    config = dataclasses.replace(toy("plain"), d_model=12 * 100_000, d_vocab=10**9)
    with pytest.raises(ValueError, match=r"one example of 1000000 positions needs abo"):
        circuits._chunks.chunk_size(config, 4, 10**6, 5, "attribute")  # pyright: ignore


@pytest.mark.parametrize("method", ["acdc", "edge_pruning", "optimal"])
def test_what_looks_at_all_examples_at_once_says_how_many_fit(method, monkeypatch):
    model, pairs = model_of(KINDS["clipped"]), some_pairs()
    chunks = circuits._chunks  # pyright: ignore
    one = chunks.bytes_per_example(model.config, pairs.clean.shape[1], 1)
    monkeypatch.setattr(chunks, "device_memory", lambda: int(2.5 * one))
    asked = {"ablation": method} if method == "optimal" else {"method": method}
    with pytest.raises(ValueError, match=r"all 3 examples together.* at most 2 exam"):
        circuits.attribute(model, pairs, **{"method": "eap", "batch_size": 1} | asked)


def test_random_keys_do_not_matter_for_pairs_of_a_task():
    from jaxcirc.tasks import Induction

    task = Induction(7, 9, 3, 4)
    one, two = (circuits.pairs(task, 6, key=jr.key(0)) for _ in range(2))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), one, two))
    assert (one.right != one.wrong).all()
