"""Evaluation at a site, against the same numbers computed one by one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import saes
from jaxcirc.metrics import cross_entropy, kl_divergence
from jaxcirc.models import Replace, Transformer, TransformerConfig, capture
from jaxcirc.tasks import Induction

from .made import dictionary

D, N, POS = 16, 6, 8
CLOSE = 1e-4


@pytest.fixture(scope="module")
def model():
    config = TransformerConfig(
        d_vocab=20, n_ctx=POS, n_layers=2, d_model=D, n_heads=2, d_mlp=24
    )
    model = Transformer(config, key=jr.key(0))
    # Fresh weights say next to nothing; larger ones make predictions that differ.
    return jax.tree.map(lambda x: 5 * x if eqx.is_inexact_array(x) else x, model)


@pytest.fixture(scope="module")
def tokens():
    return jr.randint(jr.key(1), (N, POS), 0, 20)


@pytest.fixture(scope="module")
def stack():
    config = saes.TopK(d_in=D, d_sae=24, k=3)
    return jax.vmap(config.init)(jr.split(jr.key(2), 3))


def one_by_one(model, tokens, made, layer, skip, site="resid_post"):
    """Replace by hand at one layer, and take every mean over what is left."""
    clean, acts = capture(model, tokens, [site])
    x = acts[site][layer]
    judged = np.broadcast_to(np.arange(POS) >= skip, tokens.shape)
    counts = judged & (np.arange(POS) < POS - 1)
    targets = jnp.roll(tokens, -1, axis=1)
    mean = jnp.broadcast_to(jnp.asarray(x[judged].mean(0)), x.shape)
    out = {"ce_clean": cross_entropy(clean, targets, jnp.asarray(counts))}
    for name, value in {"": made(x), "_zero": 0 * x, "_mean": mean}.items():
        edit = Replace(
            f"blocks.{layer}.hook_resid_post", value, jnp.asarray(judged)[..., None]
        )
        logits = model(tokens, edits=(edit,))
        out[f"ce{name}"] = cross_entropy(logits, targets, jnp.asarray(counts))
        out[f"kl{name}"] = kl_divergence(clean, logits)[counts].mean()
    rows, rows_hat = x[judged], made(x)[judged]
    return out, saes.reconstruction(rows, rows_hat), rows


@pytest.mark.parametrize(
    ("skip", "batch_size"), [pytest.param(0, 6, marks=pytest.mark.slow), (2, 4)]
)
def test_every_number_is_what_replacing_by_hand_gives(
    model, tokens, stack, skip, batch_size
):
    layers = np.array([0, 1, 0])
    found = saes.evaluate(
        stack,
        model,
        "resid_post",
        tokens,
        layer=layers,
        skip=skip,
        batch_size=batch_size,
        key=jr.key(0),
    )
    for member, layer in enumerate(layers):
        one = jax.tree.map(lambda x, m=member: x[m], stack)
        expected, near, rows = one_by_one(model, tokens, one, int(layer), skip)
        for name, value in expected.items():
            got = getattr(found.recovered, name)[member]
            assert float(got) == pytest.approx(float(value), rel=CLOSE), name
        for name in ("mse", "fvu", "cosine", "l2_ratio", "relative_bias"):
            got = getattr(found.reconstruction, name)[member]
            assert float(got) == pytest.approx(float(getattr(near, name)), rel=CLOSE)
        fires = np.asarray(one.encode(rows) != 0)
        np.testing.assert_array_equal(found.firing.counts[member], fires.sum(0))
    assert found.reconstruction.n_tokens.tolist() == [N * (POS - skip)] * 3
    assert found.recovered.n_places.tolist() == [N * (POS - 1 - skip)] * 3


def perfect():
    """A dictionary that loses nothing: a latent for each direction and its opposite."""
    rows = np.concatenate([np.eye(D), -np.eye(D)])
    return dictionary(rows, bias=0.0)


def test_a_dictionary_that_loses_nothing_recovers_all(model, tokens):
    found = saes.evaluate(
        perfect(), model, "blocks.0.hook_resid_post", tokens, key=jr.key(0)
    )
    recovered = found.recovered
    assert float(recovered.ce) == pytest.approx(float(recovered.ce_clean), rel=1e-5)
    for score in (recovered.ce_score, recovered.kl_score):
        for ablation in ("zero", "mean"):
            assert float(score(ablation)) == pytest.approx(1, abs=CLOSE)
    assert float(found.reconstruction.fvu) < CLOSE
    assert float(found.firing.l0) == D
    assert found.firing.density.shape == (2 * D,)


def test_a_dictionary_that_writes_nothing_is_a_zero_ablation(model, tokens):
    none = dictionary(np.zeros((2 * D, D)))
    found = saes.evaluate(
        none, model, "blocks.0.hook_resid_post", tokens, key=jr.key(0)
    )
    recovered = found.recovered
    assert float(recovered.ce) == float(recovered.ce_zero)
    assert float(recovered.kl_score()) == 0
    assert float(found.firing.dead_share) == 1


def test_transcoders_are_judged_at_their_target(model, tokens):
    n = 8
    # A skip that hands on what it reads.
    skip = saes.Dictionary(
        jnp.zeros((D, n)),
        jnp.zeros(n),
        jnp.zeros((n, D)),
        jnp.zeros(D),
        jnp.eye(D),
        saes.Relu(),
    )
    other = saes.evaluate(
        skip, model, "resid_mid", tokens, target="mlp.out", layer=0, key=jr.key(0)
    )
    _, acts = capture(model, tokens, ["resid_mid", "mlp.out"])
    x, y = (acts[name][0].reshape(-1, D) for name in ("resid_mid", "mlp.out"))
    near = saes.reconstruction(y, x)
    assert float(other.reconstruction.mse) == pytest.approx(float(near.mse), rel=CLOSE)


def test_tasks_bring_their_answers_and_padding_is_left_out(model):
    task = Induction(n_symbols=19, n_ctx=POS, shortest=2, longest=3)
    found = saes.evaluate(
        perfect(), model, "embed", task, n_examples=5, batch_size=2, key=jr.key(3)
    )
    batch = task.sample(5, split="test", key=jr.key(3))
    assert int(found.recovered.n_places) == int(batch.mask.sum())
    ce = cross_entropy(model(batch.tokens), batch.targets, batch.mask)
    assert float(found.recovered.ce_clean) == pytest.approx(float(ce), rel=CLOSE)
    where = jnp.arange(POS)[None] < jnp.array([8, 5, 3, 8, 8])[:, None]
    padded = saes.evaluate(
        perfect(), model, "embed", batch, where=where, batch_size=2, key=jr.key(3)
    )
    assert int(padded.reconstruction.n_tokens) == int(where.sum())
    assert int(padded.recovered.n_places) == int((where & batch.mask).sum())


def test_sites_with_heads_are_read_as_one_row(model, tokens):
    found = saes.evaluate(perfect(), model, "attn.z", tokens, layer=1, key=jr.key(0))
    assert float(found.reconstruction.fvu) < CLOSE
    assert float(found.recovered.kl) < CLOSE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"site": "resid_pots", "layer": 0}, "resid_post"),
        ({}, "needs one layer"),
        ({"layer": 2}, "layers 0 to 1; got"),
        ({"site": "blocks.1.hook_resid_post", "layer": 0}, r"got \[0, 1\]"),
        ({"layer": np.array([0, 1])}, "2 layers for 1 dictionaries"),
        ({"site": "mlp.post", "layer": 0}, "24 dimensions, the dictionary 16"),
        ({"site": "attn.pattern", "layer": 0}, "no activation for each"),
        ({"site": "embed", "target": "resid_post", "layer": 0}, "or neither"),
        ({"layer": 0, "skip": 8}, "is left to judge"),
        ({"layer": 0, "where": jnp.ones((2, 2), bool)}, "6 x 8 positions"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(model, tokens, change, message):
    options = {"site": "resid_post", **change}
    with pytest.raises(ValueError, match=message):
        saes.evaluate(
            perfect(), model, options.pop("site"), tokens, **options, key=jr.key(0)
        )


def test_crosscoders_and_unknown_ablations_are_refused(model, tokens):
    many = saes.TopK(d_in=D, d_sae=24, k=3, sites=2).init(jr.key(0))
    with pytest.raises(ValueError, match="crosscoder"):
        saes.evaluate(many, model, "resid_post", tokens, layer=0, key=jr.key(0))
    found = saes.Recovered(*(jnp.ones(()) for _ in range(7)), jnp.ones((), int))
    with pytest.raises(ValueError, match="did you mean 'mean'"):
        found.ce_score("means")
