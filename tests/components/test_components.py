"""Products of heads against weights written out, gradients against automatic ones."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import components
from jaxcirc.metrics import cross_entropy
from jaxcirc.models import Transformer, TransformerConfig, capture as eager_capture
from jaxcirc.tasks import Batch

# One program each: operation by operation, every one is a compilation of its own.
capture = eqx.filter_jit(eager_capture)
ov_gradient = eqx.filter_jit(lambda *args: components.ov_gradient(*args).dense())
weight_gradients = eqx.filter_jit(components.weight_gradients)
induction_scores = eqx.filter_jit(components.induction_scores)

BASE = {"d_vocab": 11, "n_ctx": 8, "n_layers": 2, "d_model": 12, "d_mlp": 20}
CONFIGS = {
    "plain": TransformerConfig(**BASE, n_heads=3),
    "grouped_rotary": TransformerConfig(
        **BASE, n_heads=6, n_kv_heads=2, d_head=4, positions="rotary", norm="rms"
    ),
    "post_norm": TransformerConfig(**BASE, n_heads=3, norm_position="both"),
    "norm_stream": TransformerConfig(**BASE, n_heads=3, norm_position="stream"),
    "no_norm": TransformerConfig(**BASE, n_heads=3, norm="none", attention_bias=False),
}


@pytest.fixture(params=CONFIGS, scope="module")
def model(request):
    make = eqx.filter_jit(lambda key: Transformer(CONFIGS[request.param], key=key))
    # Biases and norms too must not be at their special initial values.
    rng = np.random.default_rng(1)
    return jax.tree.map(
        lambda x: x + rng.normal(0, 0.1, x.shape).astype(np.float32), make(jr.key(0))
    )


@pytest.fixture(scope="module")
def batch():
    tokens = jr.randint(jr.key(2), (5, 8), 0, 11)
    return Batch(tokens, jnp.roll(tokens, 1, 1), jr.bernoulli(jr.key(3), 0.7, (5, 8)))


def value_head(model, head):
    return head * model.config.sizes.n_kv_heads // model.config.n_heads


def test_ov_and_its_spectrum_are_those_of_the_product(model):
    circuit = components.ov(model)
    attn, c = model.blocks.attn, model.config
    for layer, head in np.ndindex(c.n_layers, c.n_heads):
        dense = attn.W_V[layer, :, value_head(model, head)] @ attn.W_O[layer, head]
        np.testing.assert_allclose(circuit.dense()[layer, head], dense, atol=1e-5)
        exact = np.linalg.svd(np.asarray(dense, np.float64), compute_uv=False)
        found = circuit.singular_values()[layer, head]
        np.testing.assert_allclose(found, exact[: c.sizes.d_head], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("offset", [0, 3])
def test_qk_gives_the_scores_of_the_forward_pass(model, offset):
    # Scores without biases: a model whose biases are zero.
    attn = model.blocks.attn
    zero = lambda x: None if x is None else jnp.zeros_like(x)
    model = eqx.tree_at(
        lambda m: (m.blocks.attn.b_Q, m.blocks.attn.b_K),
        model,
        (zero(attn.b_Q), zero(attn.b_K)),
        is_leaf=lambda x: x is None,
    )
    site = "resid_pre" if model.blocks.ln1 is None else "ln1.normalized"
    tokens = jr.randint(jr.key(4), (8,), 0, 11)
    _, acts = capture(model, tokens, (site, "attn.scores"))
    circuit = components.qk(model, offset=offset).dense()
    query = 6
    x, y = acts[site][:, query], acts[site][:, query - offset]
    found = (
        jnp.einsum("lm,lhmn,ln->lh", x, circuit, y) * model.config.sizes.attention_scale
    )
    expected = acts["attn.scores"][:, :, query, query - offset]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_the_gradient_of_ov_is_that_of_an_added_matrix(model, batch):
    """Directional derivatives: move W_V and W_O, and W_V W_O moves with them."""
    found = ov_gradient(model, batch)
    gradient = weight_gradients(model, batch)
    c = model.config
    # dL/dW_V = G W_Oᵀ, summed over the heads that share a value head.
    attn, d_attn = model.blocks.attn, gradient.blocks.attn
    per_head = jnp.einsum("lhmn,lhdn->lmhd", found, attn.W_O)
    group = c.n_heads // c.sizes.n_kv_heads
    shape = (c.n_layers, c.d_model, c.sizes.n_kv_heads, group, c.sizes.d_head)
    np.testing.assert_allclose(
        per_head.reshape(shape).sum(axis=3), d_attn.W_V, rtol=1e-3, atol=1e-5
    )
    # dL/dW_O = W_Vᵀ G, and b_V adds its part times the sum of what is written.
    W_V = jnp.repeat(jnp.swapaxes(attn.W_V, 1, 2), group, axis=1)
    through = jnp.einsum("lhmd,lhmn->lhdn", W_V, found)
    if attn.b_V is not None:
        total = components.result_gradient(model, batch).sum(axis=(1, 2))
        b_V = jnp.repeat(attn.b_V, group, axis=1)
        through = through + jnp.einsum("lhd,ln->lhdn", b_V, total)
    np.testing.assert_allclose(through, d_attn.W_O, rtol=1e-3, atol=1e-5)


def test_the_velocity_is_the_motion_under_gradient_flow(model, batch):
    gradient = weight_gradients(model, batch)
    rate = 1e-3
    moved = jax.tree.map(lambda w, g: w - rate * g, model, gradient)
    finite = (components.ov(moved).dense() - components.ov(model).dense()) / rate
    found = components.ov_velocity(model, gradient)
    np.testing.assert_allclose(found.dense(), finite, rtol=0.02, atol=2e-3)
    if model.config.n_heads == model.config.sizes.n_kv_heads:
        # Minus (W_O W_Oᵀ G + G W_Vᵀ W_V), in the orientation of W_V W_O.
        G, (attn,) = ov_gradient(model, batch), (model.blocks.attn,)
        W_V = jnp.swapaxes(attn.W_V, 1, 2)
        first = jnp.einsum("lhmn,lhdn,lhdk->lhmk", G, attn.W_O, attn.W_O)
        second = jnp.einsum("lhmd,lhkd,lhkn->lhmn", W_V, W_V, G)
        if attn.b_V is None:
            np.testing.assert_allclose(
                found.dense(), -(first + second), rtol=1e-3, atol=1e-5
            )


def test_the_lens_of_the_last_layer_is_the_model(model):
    tokens = jr.randint(jr.key(4), (3, 8), 0, 11)
    lens = components.logit_lens(model, tokens)
    assert lens.shape == (2, 3, 8, 11)
    np.testing.assert_array_equal(lens[-1], model(tokens, loop="scan"))


def test_attributions_sum_to_the_logits(model, batch):
    position = model.config.norm_position
    if position != "before":
        with pytest.raises(ValueError, match=f"norm_position='{position}'"):
            components.direct_logit_attribution(model, batch.tokens, batch.targets)
        return
    parts = components.direct_logit_attribution(model, batch.tokens, batch.targets)
    assert parts.heads.shape == (2, model.config.n_heads, 5, 8)
    logits = model(batch.tokens)
    expected = jnp.take_along_axis(logits, batch.targets[..., None], -1)[..., 0]
    np.testing.assert_allclose(parts.total(), expected, rtol=1e-4, atol=1e-4)


def observe(model, batch, *rows):
    chosen = [components.component(n, model.config, **o) for n, o in rows]
    return eqx.filter_jit(components.observe)(model, batch, chosen, key=jr.key(0))


def same(found, expected):
    """Equal up to the rounding by which two programs may differ."""
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_sites_become_rows_of_examples(model, batch):
    c = model.config
    parts = observe(
        model,
        batch,
        ("resid_post", {}),
        ("attn.z", {"heads": True, "position": 2}),
        ("attn.k", {"position": "all"}),
        ("attn.pattern", {"position": 5}),
        ("embed", {}),
        ("blocks.1.hook_resid_post", {}),
    )
    _, acts = capture(
        model,
        batch.tokens,
        ("resid_post", "attn.z", "attn.k", "attn.pattern", "embed"),
    )
    assert parts["resid_post"].dims == ("layer",)
    same(parts["resid_post"].values, acts["resid_post"][:, :, -1])
    assert parts["attn.z@2"].dims == ("layer", "head")
    same(parts["attn.z@2"].values, jnp.moveaxis(acts["attn.z"][:, :, 2], 2, 1))
    same(parts["attn.k@all"].values, acts["attn.k"].reshape(2, 40, -1))
    same(parts["attn.pattern@5"].values[1, 2], acts["attn.pattern"][1, :, 2, 5])
    assert parts["embed"].dims == ()
    same(parts["embed"].values, acts["embed"][:, -1])
    assert parts["blocks.1.hook_resid_post"].dims == ()
    same(parts["blocks.1.hook_resid_post"].values, acts["resid_post"][1, :, -1])
    assert c.n_layers == 2


def test_weights_become_matrices(model, batch):
    attn = model.blocks.attn
    parts = observe(
        model,
        batch,
        ("W_Q", {}),
        ("W_O", {"heads": True}),
        ("blocks.mlp.*", {"layers": (1,)}),
        ("W_E", {"data": "gradients"}),
    )
    whole = parts["blocks.attn.W_Q"]
    np.testing.assert_array_equal(whole.values, attn.W_Q.reshape(2, 12, -1))
    assert parts["blocks.attn.W_O"].dims == ("layer", "head")
    np.testing.assert_array_equal(parts["blocks.attn.W_O"].values, attn.W_O)
    assert parts["blocks.mlp.W_in"].values.shape == (1, 12, 20)
    assert parts["blocks.mlp.b_in"].values.shape == (1, 1, 20)
    gradient = weight_gradients(model, batch)
    found = parts["W_E.gradients"]
    np.testing.assert_allclose(found.values, gradient.W_E, rtol=1e-4, atol=1e-6)
    assert found.data == "gradients"


def test_gradients_at_sites_are_each_examples_own(model, batch):
    found = observe(model, batch, ("resid_post", {"data": "gradients", "position": 4}))
    part = found["resid_post.gradients@4"]
    assert part.values.shape == (2, 5, 12)
    _, acts = capture(model, batch.tokens, ("resid_post",))
    # At the last layer, by differentiating what follows it alone.
    from jaxcirc.models import unembed

    def loss(x):
        logits = unembed(model, x)
        one = jax.vmap(cross_entropy)(logits, batch.targets, batch.mask)
        return one.sum()

    expected = jax.grad(loss)(acts["resid_post"][1])[:, 4]
    np.testing.assert_allclose(part.values[1], expected, rtol=1e-3, atol=1e-5)


def test_products_of_heads_are_parts_too(model, batch):
    parts = observe(
        model,
        batch,
        ("ov", {}),
        ("ov", {"data": "activations"}),
        ("ov", {"data": "gradients"}),
        ("qk", {"offset": 1}),
        ("ov_velocity", {}),
        ("induction_heads", {"number": 2}),
        ("induction_heads", {"data": "activations"}),
    )
    heads = model.config.n_heads
    assert parts["ov"].dense().shape == (2, heads, 12, 12)
    assert parts["qk-1"].dims == ("layer", "head")
    assert parts["ov_velocity"].values.left.shape[-1] == 2 * model.config.sizes.d_head
    _, acts = capture(model, batch.tokens, ("attn.result",))
    same(parts["ov.activations"].values[1, 2], acts["attn.result"][1, :, -1, 2])
    # Forty tokens are more than 12 directions, so the factors would be larger.
    assert parts["ov.gradients"].values.shape == (2, heads, 12, 12)
    assert parts["induction_heads"].dims == ("rank",)
    scores = induction_scores(model, key=jr.key(7))
    assert scores.shape == (2, heads)
    assert parts["induction_heads.activations"].values.shape == (1, 5, 12)


def test_the_gradient_of_ov_is_factored_where_tokens_are_fewer_than_directions(batch):
    model = Transformer(CONFIGS["plain"], key=jr.key(0))
    one = jax.tree.map(lambda x: x[:1], batch)
    part = observe(model, one, ("ov", {"data": "gradients"}))["ov.gradients"]
    # Eight tokens: a sum of eight outer products in 12 directions.
    assert part.values.left.shape == (2, 3, 12, 8)
    np.testing.assert_allclose(
        part.dense(), ov_gradient(model, one), rtol=1e-5, atol=1e-7
    )
    rank = jnp.linalg.matrix_rank(part.dense())
    assert (rank <= 8).all()


class Scaled(components.AbstractComponent):
    """The last site times learnt numbers, as a dictionary would hold them."""

    scale: jax.Array
    name: str = eqx.field(static=True, default="scaled")
    data: str = eqx.field(static=True, default="activations")
    layers: tuple[int, ...] | None = eqx.field(static=True, default=None)
    label = "scaled"

    def needs(self, config):
        return components.Needs(activations=("resid_post",))

    def parts(self, seen):
        rows = seen.activations["resid_post"][:, :, -1] * self.scale[None, None]
        return {self.label: components.Part(rows, ("layer",), self.data)}


def test_a_component_may_hold_arrays_and_shares_the_forward_pass(monkeypatch, batch):
    from jaxcirc.components import _observe

    asked = []
    monkeypatch.setattr(
        _observe,
        "capture",
        lambda model, tokens, names: (
            asked.append(names) or eager_capture(model, tokens, names)
        ),
    )
    model = Transformer(CONFIGS["plain"], key=jr.key(0))
    chosen = [
        components.component("resid_post", model.config),
        Scaled(jnp.arange(12.0)),
        components.component("ov", model.config, data="activations"),
        components.component("ov", model.config, data="gradients"),
    ]
    found = eqx.filter_jit(components.observe)(model, batch, chosen, key=jr.key(0))
    sites = ("resid_post", "attn.result", "ln1.normalized", "attn.pattern")
    assert asked == [sites]
    np.testing.assert_array_equal(
        found["scaled"].values,
        found["resid_post"].values * jnp.arange(12.0)[None, None],
    )


def test_the_strongest_induction_head_is_found():
    model = Transformer(dataclasses.replace(CONFIGS["plain"], n_ctx=21), key=jr.key(0))
    scores = induction_scores(model, key=jr.key(1))
    layers, heads = components.induction_heads(model, 3, key=jr.key(1))
    found = scores[layers, heads]
    assert (found == jnp.sort(scores.ravel())[::-1][:3]).all()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resid_pos", {}, "did you mean 'resid_post'"),
        ("blocks.attn.W_X", {}, "unknown component 'blocks.attn.W_X'"),
        ("resid_post", {"data": "weights"}, "is a site"),
        ("W_Q", {"data": "activations"}, "is a weight"),
        ("qk", {"data": "gradients"}, "'qk' has no gradients, but weights"),
        ("resid_post", {"layers": (0, 5)}, r"no layers \[5\].*layers 0 to 1"),
        ("resid_post", {"position": 9}, "outside the context of 8"),
        ("induction_heads", {"number": 40}, "between 1 and 6"),
        ("induction_heads", {"periods": (2, 5)}, r"blocks of \[2, 5\].*at most 3"),
    ],
)
def test_what_is_not_there_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        components.component(name, CONFIGS["plain"], **options)


@pytest.mark.parametrize("position", [5, -6])
def test_a_position_that_the_batch_lacks_is_refused(batch, position):
    # Within the model's context of 8, but the sequences are shorter.
    model = Transformer(CONFIGS["plain"], key=jr.key(0))
    short = jax.tree.map(lambda x: x[:, :5], batch)
    for options in ({}, {"data": "gradients"}):
        chosen = components.component(
            "attn.z", model.config, position=position, **options
        )
        with pytest.raises(ValueError, match="outside the sequences of 5"):
            components.observe(model, short, [chosen], key=jr.key(0))


def test_attribution_to_no_token_is_no_number():
    model = Transformer(CONFIGS["plain"], key=jr.key(0))
    tokens = jnp.array([[1, 2, 3]])
    parts = components.direct_logit_attribution(model, tokens, jnp.array([[1, -1, 11]]))
    assert np.isfinite(parts.total()[0, 0])
    assert np.isnan(parts.total()[0, 1:]).all()


def test_induction_is_asked_at_the_lengths_that_are_given():
    model = Transformer(dataclasses.replace(CONFIGS["plain"], n_ctx=21), key=jr.key(0))
    one, other, both, default = (
        components.induction_scores(model, periods=p, n_sequences=4, key=jr.key(1))
        for p in ((3,), (10,), (3, 10), ())
    )
    np.testing.assert_allclose(both, (one + other) / 2, rtol=1e-5)
    np.testing.assert_array_equal(other, default)
    assert (jnp.abs(one - other) > 1e-3).any()
    tokens, period = components.repeated_tokens(11, 21, 2, jr.key(0), period=3)
    assert (tokens.shape, period) == ((2, 7), 3)
    np.testing.assert_array_equal(tokens[:, 1:4], tokens[:, 4:])
