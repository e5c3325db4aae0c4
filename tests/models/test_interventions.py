"""Interventions that remember, and the sites inside them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array, Float

from jaxcirc.models import (
    AbstractIntervention,
    Add,
    Scale,
    SiteRow,
    capture as eager_capture,
    sites,
)

from .test_transformer import perturbed, run, some_tokens
from .toys import toy

capture = eqx.filter_jit(eager_capture)
ROUNDING = {"rtol": 2e-5, "atol": 2e-5}


class Dictionary(AbstractIntervention):
    """A stand-in for a sparse autoencoder at one site of every layer."""

    site: str = eqx.field(static=True)
    W_enc: Float[Array, "layer d_model feature"]
    W_dec: Float[Array, "layer feature d_model"]

    @property
    def sites(self):
        return (self.site,)

    @property
    def layered(self):
        return ("W_enc", "W_dec")

    def inner_sites(self):
        return {
            f"{self.site}.features": SiteRow(("pos", "feature")),
            f"{self.site}.error": SiteRow(("pos", "d_model")),
        }

    def axis_sizes(self):
        return {"feature": self.W_enc.shape[-1]}

    def __call__(self, site, x, memory, tape):
        features = jax.nn.relu(x @ self.W_enc)
        error = tape(f"{site}.error", x - features @ self.W_dec)
        return tape(f"{site}.features", features) @ self.W_dec + error, memory


class Total(AbstractIntervention):
    """Adds up what every layer writes, and puts the sum in place of the logits' input.

    The stream is that sum, but for what the blocks began with.
    """

    scale: Float[Array, ""]

    @property
    def sites(self):
        return ("attn.out", "mlp.out", "logits.in")

    def init(self, config, tokens):
        return jnp.zeros((*tokens.shape, config.d_model)), jnp.zeros((), int)

    def __call__(self, site, x, memory, tape):
        del tape
        total, seen = memory
        if site == "logits.in":
            return x - self.scale * total, memory
        return x, (total + x, seen + 1)


@pytest.fixture(scope="module")
def model():
    return perturbed(toy("plain"))


def dictionary(site: str = "mlp.out") -> Dictionary:
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(0, 0.3, shape), jnp.float32)
    return Dictionary(site, draw(2, 12, 7), draw(2, 7, 12))


def test_sites_inside_an_intervention_are_listed_and_read(model):
    tokens, one = some_tokens(2, 9), dictionary()
    table = sites(model, tokens.shape, (one,))
    features, error = (f"mlp.out.{name}" for name in ("features", "error"))
    assert table[features].axes == ("layer", "batch", "pos", "feature")
    assert table[features].shape == (2, 2, 9, 7)
    want = (features, error, "mlp.out")
    logits, acts = capture(model, tokens, want, edits=(one,))
    for name in want:
        assert acts[name].shape == table[name].shape
    # Features and error add up to what there was, so nothing else has changed.
    np.testing.assert_allclose(logits, run(model, tokens), **ROUNDING)
    clean = capture(model, tokens, ("mlp.out",))[1]["mlp.out"]
    np.testing.assert_allclose(acts["mlp.out"], clean, **ROUNDING)
    expected = jax.vmap(lambda x, W: jax.nn.relu(x @ W))(clean, one.W_enc)
    np.testing.assert_allclose(acts[features], expected, **ROUNDING)


def test_other_interventions_change_sites_inside_one(model):
    tokens, one = some_tokens(9), dictionary()
    none = Scale("mlp.out.features", jnp.zeros((2, 1, 1)))
    want = ("mlp.out", "mlp.out.error")
    _, acts = capture(model, tokens, want, edits=(one, none))
    np.testing.assert_array_equal(acts["mlp.out"], acts["mlp.out.error"])
    by_hook = Add("blocks.1.mlp.out.features", jnp.ones(7))
    changed = capture(model, tokens, ("mlp.out",), edits=(one, by_hook))[1]["mlp.out"]
    clean = capture(model, tokens, ("mlp.out",))[1]["mlp.out"]
    np.testing.assert_allclose(changed[0], clean[0], **ROUNDING)
    np.testing.assert_allclose(
        changed[1], clean[1] + one.W_dec[1].sum(0, keepdims=True), **ROUNDING
    )


def test_a_memory_goes_through_all_layers_to_the_logits(model):
    tokens = some_tokens(2, 9)
    begun = capture(model, tokens, ("resid_pre",))[1]["resid_pre"][0]
    for loop in ("scan", "unrolled", "python"):
        total = Total(jnp.ones(()))
        found = capture(model, tokens, ("logits.in",), edits=(total,), loop=loop)[1]
        np.testing.assert_allclose(found["logits.in"], begun, rtol=1e-4, atol=1e-4)


def test_a_sweep_over_interventions_is_one_program(model):
    tokens, scales = some_tokens(2, 9), jnp.linspace(0, 1, 3)
    logits = jax.vmap(lambda s: run(model, tokens, edits=(Total(s),)))(scales)
    np.testing.assert_allclose(logits[0], run(model, tokens), **ROUNDING)
    one = run(model, tokens, edits=(Total(scales[2]),))
    np.testing.assert_allclose(logits[2], one, rtol=1e-4, atol=1e-4)


def test_what_is_remembered_costs_nothing_where_nothing_is(model):
    """An edit has no memory: the loop carries the residual stream alone."""
    edit = Add("resid_pre", jnp.zeros((2, 9, 12)))
    tokens = some_tokens(9)
    jaxpr = jax.make_jaxpr(lambda m, t: m(t, edits=(edit,), loop="scan"))(model, tokens)
    (scan,) = (e for e in jaxpr.eqns if e.primitive.name == "scan")
    assert scan.params["num_carry"] == 1


def test_the_input_of_the_logits_is_the_last_residual_stream(model):
    names = ("resid_post", "logits.in")
    acts = capture(model, some_tokens(2, 9), names)[1]
    np.testing.assert_array_equal(acts["logits.in"], acts["resid_post"][-1])


@pytest.mark.parametrize("name", ["gqa", "mqa", "qk_norm_by_head", "qk_norm_of_all"])
@pytest.mark.parametrize("part", ["k", "v"])
def test_every_query_head_has_a_key_and_a_value_input_of_its_own(name, part):
    """Changed alike for a whole group it is the group's; else one head's alone."""
    model, tokens = perturbed(toy(name)), some_tokens(9)
    site, hook = f"attn.{part}_in", "attn.z"
    zero = jnp.zeros((2, 1, 4, 12))
    clean = capture(model, tokens, (hook,))[1][hook]
    same = capture(model, tokens, (hook,), edits=(Add(site, zero),))[1][hook]
    np.testing.assert_allclose(same, clean, **ROUNDING)
    one = jr.normal(jr.key(3), (12,))
    moved = Add(site, zero.at[0, 0, 2].set(one))
    change = jnp.abs(capture(model, tokens, (hook,), edits=(moved,))[1][hook] - clean)
    per_head = change[0].max(axis=(0, 2))
    # A norm over all heads at once ties the heads of a set together.
    others = [0] if name == "qk_norm_of_all" and part == "k" else []
    for head in {0, 1, 3} - set(others):
        assert per_head[head] < 1e-3 * per_head[2], head


def test_grouped_keys_beside_split_inputs_are_refused():
    model, tokens = perturbed(toy("gqa")), some_tokens(9)
    edit = Add("attn.k_in", jnp.zeros((2, 1, 4, 12)))
    with pytest.raises(ValueError, match=r"attn\.k has one for each group"):
        eager_capture(model, tokens, ("attn.k",), edits=(edit,))
    assert eager_capture(model, tokens, ("attn.v", "attn.k_in"), edits=(edit,))


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        (lambda: (Dictionary("mlp.out", *2 * [jnp.zeros((3, 12, 12))]),), "`W_enc`.*2"),
        (lambda: (dictionary("mlp.outt"),), "did you mean"),
        (lambda: (dictionary("hook_mlp_out"),), "use 'mlp.out'"),
        (lambda: (Scale("mlp.out.features", jnp.ones((2, 1, 7))),), "unknown site"),
        (
            lambda: (dictionary(), Scale("mlp.out.features", jnp.ones((2, 1, 8)))),
            "does not broadcast",
        ),
    ],
)
def test_interventions_that_do_not_fit_are_named(model, edits, words):
    with pytest.raises(ValueError, match=words):
        eager_capture(model, some_tokens(9), (), edits=edits())
