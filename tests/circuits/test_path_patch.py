"""Path patching against three runs by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import circuits
from jaxcirc.models import Replace, Transformer, TransformerConfig, capture
from jaxcirc.objectives import LogitDifference
from jaxcirc.tasks import Pairs

SHAPE = dict(d_vocab=9, n_ctx=6, n_layers=3, n_heads=2, d_model=8)
KINDS = {
    "attention_only": dict(),
    "no_norm": dict(norm="none", d_mlp=12),
    "parallel": dict(parallel=True, d_mlp=12, positions="rotary"),
    "grouped": dict(n_heads=4, n_kv_heads=2, d_mlp=12, norm="rms", gated=True),
    "post_norm": dict(norm_position="both", norm="rms_plus_one", d_mlp=12),
}


def made(kind):
    config = TransformerConfig(**(SHAPE | KINDS[kind]))
    model = Transformer(config, key=jr.key(0))
    # Norms and biases that do something.
    leaves, tree = jax.tree.flatten(model)
    rng = np.random.default_rng(1)
    leaves = [x + 0.3 * rng.normal(size=x.shape).astype(np.float32) for x in leaves]
    return jax.tree.unflatten(tree, leaves)


def some_pairs(n=3, n_pos=5, d_vocab=9):
    rng = np.random.default_rng(0)
    clean, corrupted = rng.integers(0, d_vocab, (2, n, n_pos))
    right, wrong = np.full((n, 1), 1), np.full((n, 1), 2)
    end, s2 = np.full(n, n_pos - 1), np.full(n, 2)
    arrays = map(jnp.asarray, (clean, corrupted, right, wrong, end, s2))
    *first, end, s2 = arrays
    return Pairs(*first, {"end": end, "S2": s2})


def logit_difference(model, pairs, edits=()):
    logits = model(pairs.clean, edits=edits)
    return LogitDifference()(lambda _: logits, pairs).mean()


def by_hand(model, pairs, sender, receivers, through_mlps):
    """Three runs, in which every head and every receiver is replaced by itself."""
    config, tokens = model.config, pairs.clean
    sites = ["embed", "attn.out", "attn.z", "mlp.out"][: 4 if config.sizes.d_mlp else 3]
    if model.W_pos is not None:
        sites.append("pos_embed")
    _, clean = capture(model, tokens, sites)
    _, other = capture(model, pairs.corrupted, sites)
    every = jnp.ones((config.n_layers, 1, 1, 1), bool)
    edits, layer = [], None
    name = sender.split(".")[0]
    attn = clean["attn.out"]
    if sender == "embed":
        edits.append(Replace("embed", other["embed"], jnp.ones((1, 1, 1), bool)))
    elif sender.endswith(".mlp"):
        layer = int(name[1:])
    else:
        layer, head = map(int, name[1:].split("H"))
        # What the layer's attention writes if this head alone does something else; a
        # norm behind it holds its divisor.
        one = jnp.arange(config.n_heads)[:, None] == head
        z = jnp.where(one, other["attn.z"][layer], clean["attn.z"][layer])
        block = jax.tree.map(lambda x: x[layer], model.blocks)
        results = lambda z: jnp.einsum("bphd,hdm->bphm", z, block.attn.W_O)
        if block.ln1_post is None:
            moved = (results(z) - results(clean["attn.z"][layer])).sum(axis=-2)
        else:
            scale = lambda t: capture(model, t, ["ln1_post.scale"])[1][
                "ln1_post.scale"
            ][layer]
            own, new = (
                block.ln1_post.held(results(a["attn.z"][layer])[:, :, head], scale(t))
                for a, t in ((clean, tokens), (other, pairs.corrupted))
            )
            moved = new - own
        attn = attn.at[layer].add(moved)
    edits.append(Replace("attn.out", attn, every))
    if config.sizes.d_mlp:
        mlp, held = clean["mlp.out"], every
        if sender.endswith(".mlp"):
            mlp = mlp.at[layer].set(other["mlp.out"][layer])
            held = (
                every
                if not through_mlps
                else every & (jnp.arange(config.n_layers)[:, None, None, None] <= layer)
            )
        elif through_mlps:
            held = ~every
        edits.append(Replace("mlp.out", mlp, held))
    reads = {"q": "attn.q_in", "k": "attn.k_in", "v": "attn.v_in"}
    places = [*reads.values(), "logits.in"]
    places += ["mlp.in"] if config.sizes.d_mlp else []
    _, noted = capture(model, tokens, places, edits=edits)
    third = []
    for receiver in receivers:
        if receiver == "logits":
            where = jnp.ones((1, 1, 1), bool)
            third.append(Replace("logits.in", noted["logits.in"], where))
            continue
        at, part = receiver.split(".")
        if part == "mlp":
            where = jnp.arange(config.n_layers) == int(at[1:])
            site, where = "mlp.in", where[:, None, None, None]
        else:
            kind = "G" if "G" in at else "H"
            here, head = map(int, at[1:].split(kind))
            size = config.n_heads // config.sizes.n_kv_heads if kind == "G" else 1
            heads = jnp.arange(config.n_heads) // size == head
            layers = jnp.arange(config.n_layers) == here
            where = (layers[:, None] & heads[None])[:, None, None, :, None]
            site = reads[part]
        third.append(Replace(site, noted[site], where))
    return logit_difference(model, pairs, third) - logit_difference(model, pairs)


def of_each(model, pairs, senders, receivers, through_mlps):
    one = lambda name: by_hand(model, pairs, name, receivers, through_mlps)
    return jnp.stack([one(name) for name in senders])


CASES = [(kind, False) for kind in KINDS]
CASES += [("no_norm", True), ("post_norm", True), ("parallel", True)]


@pytest.mark.parametrize(("kind", "through_mlps"), CASES)
def test_is_what_three_runs_by_hand_give(kind, through_mlps):
    model, pairs = made(kind), some_pairs()
    key = "L2G1.k" if "n_kv_heads" in KINDS[kind] else "L2H1.k"
    mlp = model.config.sizes.d_mlp > 0
    # Receivers of two layers, one of which reads what the other writes.
    receivers = (
        "L1H0.q",
        key,
        *(["L1.mlp"] if mlp else []),
        "L2H0.v".replace("H", "G") if "G" in key else "L2H0.v",
    )
    senders = ("L0H1", "L1.mlp" if mlp else "L1H0")
    if model.W_pos is None:
        senders = ("embed", *senders)  # Positions are the same in both runs.
    for chosen in (receivers, ("logits",)):
        found = circuits.path_patch(model, pairs, chosen, through_mlps=through_mlps)
        args = (model, pairs, senders, chosen, through_mlps)
        expected = eqx.filter_jit(of_each)(*args)
        places = jnp.array([found.graph.sources.index(name) for name in senders])
        scale = float(jnp.abs(found.values).max())
        np.testing.assert_allclose(found.values[places], expected, atol=1e-5 * scale)


def test_of_one_receiver_is_the_score_of_one_edge():
    model, pairs = made("no_norm"), some_pairs()
    edges = circuits.patch(model, pairs).values
    graph = circuits.graph(model.config)
    for receiver in ("L1H1.v", "logits"):
        found = circuits.path_patch(model, pairs, [receiver])
        column = edges[:, graph.destinations.index(receiver)]
        scale = float(jnp.abs(column).max())
        np.testing.assert_allclose(found.values, column, atol=1e-5 * scale)


def test_chunks_masks_and_examples_give_the_same():
    model, pairs = made("grouped"), some_pairs(5)
    receivers = ["L1H0.q", "L2G1.v"]
    whole = circuits.path_patch(model, pairs, receivers)
    mask = jnp.isin(
        jnp.arange(len(whole.graph.destinations)),
        jnp.array([whole.graph.destinations.index(name) for name in receivers]),
    )
    each = circuits.path_patch(
        model, pairs, mask, per_example=True, batch_size=2, at_once=3
    )
    scale = float(jnp.abs(whole.values).max())
    mean = each.values.mean(axis=0)
    np.testing.assert_allclose(mean, whole.values, atol=1e-5 * scale)
    assert each.values.shape == (5, len(whole.graph.sources))
    # Nobody reads what is written behind both receivers.
    assert not each.values[:, whole.graph.sources.index("L2H0")].any()


def test_a_change_at_a_position_that_nobody_reads_does_nothing():
    model, pairs = made("no_norm"), some_pairs()
    options = dict(senders_at="S2", receivers_at="end")
    apart = circuits.path_patch(model, pairs, ["logits"], **options).values
    # Rounding: the objective is a sum of a few terms of its size.
    assert float(jnp.abs(apart).max()) < 1e-5 * float(
        jnp.abs(circuits.path_patch(model, pairs, ["logits"]).values).max()
    )
    here = circuits.path_patch(model, pairs, ["logits"], senders_at="end").values
    whole = circuits.path_patch(model, pairs, ["logits"]).values
    np.testing.assert_allclose(here, whole, atol=1e-5 * float(jnp.abs(whole).max()))


@pytest.mark.parametrize(
    ("receivers", "options", "message"),
    [
        (["L1H0.z"], {}, "unknown receiver 'L1H0.z'"),
        ("logits", {}, "a list of at least one"),
        ([], {}, "a list of at least one"),
        (jnp.ones(3), {}, "one entry for each"),
        (["logits"], {"senders_at": "S3"}, "unknown position 'S3'"),
    ],
)
def test_what_does_not_fit_is_refused(receivers, options, message):
    with pytest.raises(ValueError, match=message):
        circuits.path_patch(made("attention_only"), some_pairs(), receivers, **options)
