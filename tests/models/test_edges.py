"""Edges and masks over them: counts in closed form, and both ends of a sweep."""

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
    edges,
    sites,
    written,
)

from .test_transformer import perturbed
from .toys import TOYS, toy

CONFIGS = {spec.name: spec.build(11, 8, **spec.tiny) for spec in MODELS.own}


def count(layers: int, heads: int, *, mlp: bool = True, parallel: bool = False) -> int:
    """The closed form of `edges`, layer by layer."""
    total = 1 + layers * (heads + mlp)
    for layer in range(layers):
        before = 1 + layer * (heads + mlp)
        total += 3 * heads * before
        total += mlp * (before + (0 if parallel else heads))
    return total


@pytest.mark.parametrize("name", CONFIGS)
def test_edges_are_as_many_as_the_closed_form_says(name):
    c = CONFIGS[name]
    table = edges(c)
    mlp = bool(c.sizes.d_mlp)
    expected = count(c.n_layers, c.n_heads, mlp=mlp, parallel=c.parallel)
    assert len(table.names) == len(set(table.names)) == expected
    assert len(table.writers) == 1 + c.n_layers * (c.n_heads + mlp)
    assert len(table.readers) == c.n_layers * (3 * c.n_heads + mlp) + 1
    assert (table.writer_layer <= table.reader_layer).all()


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
def test_edges_of_known_models(layers, heads, parallel, published):
    config = TransformerConfig(
        d_vocab=2,
        n_ctx=2,
        n_layers=layers,
        n_heads=heads,
        d_model=heads,
        d_mlp=1,
        parallel=parallel,
    )
    assert len(edges(config).writer) == published


def test_a_stream_that_is_normalised_in_place_has_no_edges():
    with pytest.raises(ValueError, match="norm_position='stream'"):
        edges(toy("norm_stream"))


def clean_and_corrupted():
    return jr.randint(jr.key(1), (2, 3, 8), 0, 11)


def masked(model, keep, instead, tokens):
    return model(tokens, edits=(EdgeMask(model, keep, instead),))


@eqx.filter_jit
def both_ends(model):
    """What corrupted tokens make it write; both runs; all edges kept, and all cut."""
    (clean, corrupted), number = clean_and_corrupted(), len(edges(model.config).writer)
    with jax.default_matmul_precision("highest"):
        instead = written(model, corrupted)
        ends = jax.vmap(lambda keep: masked(model, keep, instead, clean))
        kept, cut = ends(jnp.stack([jnp.ones(number), jnp.zeros(number)]))
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
    tokens, number = clean_and_corrupted()[0], len(edges(model.config).writer)

    @jax.jit
    @jax.value_and_grad
    def metric(keep):
        with jax.default_matmul_precision("highest"):
            return masked(model, keep, instead, tokens)[:, -1, 0].sum()

    kept = jnp.ones(number)
    _, scores = metric(kept)
    assert jnp.isfinite(scores).all()
    # Every reader sees some of what is cut, so almost every score is something.
    assert (scores != 0).mean() > 0.5
    direction, step = jr.normal(jr.key(5), (number,)), 1e-2
    above, below = (metric(kept + sign * step * direction)[0] for sign in (1, -1))
    assert float(above - below) / (2 * step) == pytest.approx(
        float(scores @ direction), rel=2e-2
    )


def test_a_cut_edge_is_seen_by_its_reader_alone():
    """By hand: one head's value input, with one writer put in place."""
    model, instead, *_ = setting("attention_only")
    tokens, table = clean_and_corrupted()[0], edges(model.config)
    place = table.names.index("L0H1->L1H0.v")
    keep = jnp.ones(len(table.writer)).at[place].set(0)
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

    number = len(edges(model.config).writer)
    for seed in range(3):
        keep = jr.bernoulli(jr.key(seed), 0.5, (number,)).astype(float)
        logits(EdgeMask(model, keep, instead), clean_and_corrupted()[0])
    assert len(traces) == 1


def test_masks_that_do_not_fit_are_named():
    model, instead, *_ = setting("attention_only")
    number = len(edges(model.config).writer)
    with pytest.raises(ValueError, match=f"shape \\(3,\\); the model has {number}"):
        EdgeMask(model, jnp.ones(3), instead)
    mask = EdgeMask(model, jnp.ones(number), instead)
    with pytest.raises(ValueError, match=r"`instead.embed` has shape \(3, 8, 16\)"):
        model(clean_and_corrupted()[0][:2], edits=(mask,))


@pytest.mark.parametrize("name", TOYS)
def test_every_reader_and_writer_has_a_site(name):
    """So a mask can be made of any model whose stream is a sum."""
    there = sites(toy(name))
    needed = {"embed", "attn.q_in", "attn.result", "logits.in"}
    assert needed <= there.keys()
    assert ("mlp.in" in there) == ("mlp.out" in there) == bool(toy(name).d_mlp)
