"""Graphs and masks over edges: counts in closed form, and both ends of a sweep."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc.models import (
    MODELS,
    EdgeMask,
    TransformerConfig,
    capture,
    graph,
    sites,
    written,
)

from .test_transformer import perturbed
from .toys import TOYS, toy

CONFIGS = {spec.name: spec.build(11, 8, **spec.tiny) for spec in MODELS.own}


def count(layers, heads, keys, *, mlp=True, parallel=False) -> int:
    """The closed form of `graph`, layer by layer."""
    total = 1 + layers * (heads + mlp)
    for layer in range(layers):
        before = 1 + layer * (heads + mlp)
        total += (heads + 2 * keys) * before
        total += mlp * (before + (0 if parallel else heads))
    return total


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("name", CONFIGS)
def test_edges_are_as_many_as_the_closed_form_says(name, grouped):
    c = CONFIGS[name]
    table = graph(c, grouped=grouped)
    mlp, keys = bool(c.sizes.d_mlp), c.sizes.n_kv_heads if grouped else c.n_heads
    expected = count(c.n_layers, c.n_heads, keys, mlp=mlp, parallel=c.parallel)
    assert len(table.names) == len(set(table.names)) == table.n_edges == expected
    assert len(table.sources) == 1 + c.n_layers * (c.n_heads + mlp)
    assert len(table.destinations) == c.n_layers * (c.n_heads + 2 * keys + mlp) + 1
    assert table.exists.shape == (len(table.sources), len(table.destinations))
    source, destination = table.edges.T
    assert (table.source_layer[source] <= table.destination_layer[destination]).all()


@pytest.mark.parametrize(
    ("layers", "heads", "parallel", "published"),
    [
        (12, 12, False, 32_491),  # GPT-2 small
        (12, 12, True, 32_347),  # Pythia 160m
        (32, 32, True, 1_591_857),  # Pythia 2.8b
        (24, 14, False, 179_749),  # Qwen 2.5 0.5B
        (16, 32, False, 386_713),  # Llama 3.2 1B
    ],
)
def test_graphs_of_known_models(layers, heads, parallel, published):
    config = TransformerConfig(
        d_vocab=2,
        n_ctx=2,
        n_layers=layers,
        n_heads=heads,
        d_model=heads,
        d_mlp=1,
        parallel=parallel,
    )
    assert graph(config).n_edges == published


def test_a_stream_that_is_normalised_in_place_has_no_edges():
    with pytest.raises(ValueError, match="norm_position='stream'"):
        graph(toy("norm_stream"))


def test_positions_may_be_a_source_of_their_own():
    c = CONFIGS["gpt2"]
    with_positions = graph(c, positions=True)
    assert with_positions.sources[:2] == ("embed", "pos_embed")
    # They are read wherever the embedding is.
    assert (with_positions.exists[0] == with_positions.exists[1]).all()
    assert (np.delete(with_positions.exists, 1, axis=0) == graph(c).exists).all()
    with pytest.raises(ValueError, match="this model has positions='rotary'"):
        graph(CONFIGS["llama"], positions=True)


def clean_and_corrupted():
    return jr.randint(jr.key(1), (2, 3, 8), 0, 11)


def masked(model, keep, instead, tokens):
    return model(tokens, edits=(EdgeMask(model, keep, instead),))


@eqx.filter_jit
def both_ends(model):
    """What corrupted tokens make it write; both runs; all edges kept, and all cut."""
    (clean, corrupted), shape = clean_and_corrupted(), graph(model.config).exists.shape
    with jax.default_matmul_precision("highest"):
        instead = written(model, corrupted)
        ends = jax.vmap(lambda keep: masked(model, keep, instead, clean))
        kept, cut = ends(jnp.stack([jnp.ones(shape), jnp.zeros(shape)]))
        return instead, model(clean), model(corrupted), kept, cut


@functools.cache
def setting(name):
    model = perturbed(CONFIGS[name])
    return model, *both_ends(model)


def close(found, expected, difference):
    """Equal, measured by how far the two runs are apart."""
    error = jnp.abs(found - expected).max() / jnp.abs(difference).max()
    # Rounding of float32 through two layers, which sum and difference go through.
    assert error < 1e-4, float(error)


@pytest.mark.parametrize("name", CONFIGS)
def test_all_kept_is_clean_and_all_cut_is_corrupted(name):
    _, _, clean, corrupted, kept, cut = setting(name)
    close(kept, clean, clean - corrupted)
    close(cut, corrupted, clean - corrupted)


@pytest.mark.parametrize("name", ["gpt_neox", "olmo2", "gemma3"])
def test_gradients_by_masks_are_those_of_small_cuts(name):
    model, instead, *_ = setting(name)
    tokens, table = clean_and_corrupted()[0], graph(model.config)

    @jax.jit
    @jax.value_and_grad
    def metric(keep):
        with jax.default_matmul_precision("highest"):
            return masked(model, keep, instead, tokens)[:, -1, 0].sum()

    kept = jnp.ones(table.exists.shape)
    _, scores = metric(kept)
    assert jnp.isfinite(scores).all()
    # Every reader sees some of what is cut, so almost every score is something, and
    # what is no edge has none.
    assert (scores[table.exists] != 0).mean() > 0.5
    assert (scores[~table.exists] == 0).all()
    direction, step = jr.normal(jr.key(5), kept.shape), 1e-2
    above, below = (metric(kept + sign * step * direction)[0] for sign in (1, -1))
    assert float(above - below) / (2 * step) == pytest.approx(
        float((scores * direction).sum()), rel=2e-2
    )


def test_a_cut_edge_is_seen_by_its_reader_alone():
    """By hand: one head's value input, with one writer put in place."""
    model, instead, *_ = setting("attention_only")
    tokens, table = clean_and_corrupted()[0], graph(model.config)
    source = table.sources.index("L0H1")
    destination = table.destinations.index("L1H0.v")
    keep = jnp.ones(table.exists.shape).at[source, destination].set(0)
    sites = ("attn.q_in", "attn.v_in", "attn.result")
    read = eqx.filter_jit(capture)
    clean = read(model, tokens, sites)[1]
    mask = EdgeMask(model, keep, instead)
    acts = read(model, tokens, sites, edits=(mask,))[1]
    moved = acts["attn.v_in"] - clean["attn.v_in"]
    expected = instead.heads[0, ..., 1, :] - clean["attn.result"][0, ..., 1, :]
    np.testing.assert_allclose(moved[1, ..., 0, :], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moved[1, ..., 1, :], 0 * expected, atol=1e-5)
    np.testing.assert_allclose(acts["attn.q_in"], clean["attn.q_in"], atol=1e-5)


def test_all_masks_are_one_program():
    model, instead, *_ = setting("attention_only")
    traces = []

    @eqx.filter_jit
    def logits(mask, tokens):
        traces.append(None)
        return model(tokens, edits=(mask,))

    shape = graph(model.config).exists.shape
    for seed in range(3):
        keep = jr.bernoulli(jr.key(seed), 0.5, shape).astype(float)
        logits(EdgeMask(model, keep, instead), clean_and_corrupted()[0])
    assert len(traces) == 1


def test_masks_that_do_not_fit_are_named():
    model, instead, *_ = setting("attention_only")
    tokens, shape = clean_and_corrupted()[0], graph(model.config).exists.shape
    with pytest.raises(ValueError, match=f"shape \\(3, 3\\); .* {shape[0]} sources"):
        EdgeMask(model, jnp.ones((3, 3)), instead)
    with pytest.raises(ValueError, match="spans are not given"):
        EdgeMask(model, jnp.ones((2, *shape)), instead)
    mask = EdgeMask(model, jnp.ones(shape), instead)
    with pytest.raises(ValueError, match=r"`instead.embed` has shape \(3, 8, 16\)"):
        model(tokens[:2], edits=(mask,))
    spans = jnp.zeros((3, 7), int)
    mask = EdgeMask(model, jnp.ones((1, *shape)), instead, spans=spans)
    with pytest.raises(ValueError, match=r"`spans` has shape \(3, 7\)"):
        model(tokens, edits=(mask,))


def test_a_mask_by_span_is_the_mask_of_each_position():
    """All of a run cut in the first half of the positions, by spans and by hand."""
    model, instead, *_ = setting("gpt2")
    tokens, shape = clean_and_corrupted()[0], graph(model.config).exists.shape
    spans = jnp.broadcast_to(jnp.arange(8) // 4, tokens.shape)
    keep = jnp.stack([jnp.zeros(shape), jnp.ones(shape)])
    by_span = EdgeMask(model, keep, instead, spans=spans)
    # The same by what is put in place: in the second half, what is written anyway.
    own = eqx.filter_jit(written)(model, tokens)
    _, corrupted, kept = instead, instead, own
    half = (jnp.arange(8) < 4)[:, None]
    mixed = type(instead)(
        jnp.where(half, corrupted.embed, kept.embed),
        kept.pos_embed,
        jnp.where(half[..., None], corrupted.heads, kept.heads),
        jnp.where(half, corrupted.mlps, kept.mlps),
    )
    run = eqx.filter_jit(lambda model, mask: model(tokens, edits=(mask,)))
    # A causal model's first half does not know of the second, and in the first all is
    # cut, so there both are the corrupted run.
    both = run(model, by_span), run(model, EdgeMask(model, jnp.zeros(shape), mixed))
    close(both[0][:, :4], both[1][:, :4], both[0] - model(tokens))
    ones = EdgeMask(model, jnp.ones((2, *shape)), instead, spans=spans)
    close(run(model, ones), model(tokens), both[0] - model(tokens))


def test_key_inputs_of_a_group_are_cut_together():
    model, instead, *_ = setting("qwen2")
    c, tokens = model.config, clean_and_corrupted()[0]
    small, large = graph(c), graph(c, grouped=False)
    assert small.n_edges < large.n_edges
    assert "L0G0.k" in small.destinations
    keep = jr.uniform(jr.key(4), small.exists.shape)
    group = c.n_heads // c.sizes.n_kv_heads
    columns = [
        small.destinations.index(
            name if name.endswith(("q", "mlp", "logits")) else _grouped(name, group)
        )
        for name in large.destinations
    ]
    run = eqx.filter_jit(lambda model, mask: model(tokens, edits=(mask,)))
    one = run(model, EdgeMask(model, keep, instead))
    two = run(model, EdgeMask(model, keep[:, jnp.array(columns)], instead, large))
    np.testing.assert_array_equal(one, two)


def _grouped(name, group):
    layer, rest = name.split("H")
    head, part = rest.split(".")
    return f"{layer}G{int(head) // group}.{part}"


@pytest.mark.parametrize("name", TOYS)
def test_every_reader_and_writer_has_a_site(name):
    """So a mask can be made of any model whose stream is a sum."""
    there = sites(toy(name))
    needed = {"embed", "attn.q_in", "attn.result", "logits.in"}
    assert needed <= there.keys()
    assert ("mlp.in" in there) == ("mlp.out" in there) == bool(toy(name).d_mlp)
