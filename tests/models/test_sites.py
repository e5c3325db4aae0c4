import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc.models import (
    Add,
    Replace,
    Scale,
    Transformer,
    capture as eager_capture,
    sites,
)
from jaxcirc.models._site_rows import ALL_SITES
from jaxcirc.models._transformer import forward

from .test_transformer import perturbed, run, some_tokens
from .toys import TOYS, toy

capture = eqx.filter_jit(eager_capture)
# Read, the results of heads are computed in another order of operations; changed, so
# are inputs that are split by head.
REORDERED = ("attn.result",)
SPLIT = ("attn.q_in", "attn.k_in", "attn.v_in", "attn.result")


@pytest.fixture(scope="module")
def model():
    return perturbed(toy("plain"))


# Between them they have every site and every axis that a site can have.
EVERY_SITE = (
    "plain",
    "attention_only",
    "one_layer_no_norm",
    "parallel",
    "gqa",
    "norm_both",
    "qk_norm_by_head",
    "gemma2_like",
    "pico_like",
)


@pytest.mark.parametrize("name", EVERY_SITE)
def test_the_table_is_what_capture_returns(name):
    model, tokens = perturbed(toy(name)), some_tokens(2, 9)
    table = sites(model, tokens.shape)
    _, acts = eqx.filter_jit(capture)(model, tokens, tuple(table))
    for site, row in table.items():
        assert acts[site].shape == row.shape, site
        assert len(row.axes) == len(row.shape), site
        assert jnp.isfinite(acts[site]).all(), site


@pytest.mark.parametrize("name", TOYS)
def test_the_table_is_what_a_forward_pass_would_record(name):
    """Looked up by axis names, shapes and types are those that tracing finds."""
    config = toy(name)
    model = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))
    model = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.bfloat16), model)
    table = sites(model, (2, 9))
    tokens = jax.ShapeDtypeStruct((2, 9), "int32")
    want = tuple(ALL_SITES)
    found = jax.eval_shape(lambda m, t: forward(m, t, (), want)[1], model, tokens)
    assert found.keys() == table.keys()
    for site, row in table.items():
        assert len(row.axes) == len(row.shape), site
        assert (found[site].shape, found[site].dtype) == (row.shape, row.dtype), site


# Reading or not changing anything leaves the arithmetic as it is: bit for bit when
# operations run one by one. Compiled, XLA may fuse them otherwise and round otherwise.
ROUNDING = {"rtol": 2e-5, "atol": 2e-5}


@pytest.mark.parametrize("name", ["plain", "gemma2_like", "mqa", "scaled_scores"])
def test_capture_leaves_logits_as_they_are(name):
    model, tokens = perturbed(toy(name)), some_tokens(2, 9)
    table = sites(model, tokens.shape)
    exact = tuple(site for site in table if site not in REORDERED)
    with jax.disable_jit():
        logits, _ = eager_capture(model, tokens, exact)
        np.testing.assert_array_equal(logits, model(tokens))
    logits, acts = capture(model, tokens, tuple(table))
    np.testing.assert_allclose(logits, run(model, tokens), **ROUNDING)
    for site, activation in acts.items():
        assert activation.shape == table[site].shape, site
        assert jnp.isfinite(activation).all(), site


def identity(kind: str, site: str, shape: tuple[int, ...]):
    if kind == "scale":
        return Scale(site, jnp.ones(shape))
    if kind == "add":
        return Add(site, jnp.zeros(shape))
    return Replace(site, jnp.ones(shape), jnp.zeros(shape, bool))


@pytest.mark.parametrize("kind", ["scale", "add", "replace"])
def test_identity_edits_change_nothing(model, kind):
    tokens = some_tokens(2, 9)
    table = sites(model, tokens.shape)
    edits = tuple(
        identity(kind, site, row.shape)
        for site, row in table.items()
        if site not in SPLIT
    )
    with jax.disable_jit():
        edited = model(tokens, edits=edits)
        np.testing.assert_array_equal(edited, model(tokens))
    np.testing.assert_allclose(
        run(model, tokens, edits=edits), run(model, tokens), **ROUNDING
    )


def test_scaling_a_head_to_nothing_equals_zero_output_weights(model):
    tokens = some_tokens(2, 9)
    for layer in range(2):
        for head in range(3):
            mask = jnp.ones((2, 3, 1)).at[layer, head].set(0)
            W_O = model.blocks.attn.W_O.at[layer, head].set(0)
            zeroed = eqx.tree_at(lambda m: m.blocks.attn.W_O, model, W_O)
            np.testing.assert_allclose(
                run(model, tokens, edits=(Scale("attn.z", mask),)),
                run(zeroed, tokens),
                rtol=1e-5,
                atol=1e-5,
            )


def test_patching_the_residual_stream_gives_the_other_run(model):
    clean, other = some_tokens(9), some_tokens(9)[::-1]
    _, acts = capture(model, other, ("resid_pre",))
    where = jnp.array([False, True])[:, None, None]
    patched = run(model, clean, edits=(Replace("resid_pre", acts["resid_pre"], where),))
    np.testing.assert_allclose(patched, run(model, other), rtol=1e-5, atol=1e-5)


def test_adding_to_an_output_equals_adding_to_its_bias(model):
    tokens, delta = some_tokens(2, 9), jr.normal(jr.key(5), (2, 1, 12))
    moved = eqx.tree_at(
        lambda m: m.blocks.attn.b_O, model, model.blocks.attn.b_O + delta[:, 0]
    )
    np.testing.assert_allclose(
        run(model, tokens, edits=(Add("attn.out", delta),)),
        run(moved, tokens),
        rtol=1e-5,
        atol=1e-5,
    )


def test_an_edited_pattern_is_recomputed_by_hand():
    model = perturbed(toy("attention_only"))
    tokens = some_tokens(9)
    uniform = jnp.tril(jnp.ones((9, 9))) / jnp.arange(1.0, 10.0)[:, None]
    edit = Replace(
        "attn.pattern",
        jnp.broadcast_to(uniform, (2, 3, 9, 9)),
        jnp.ones((2, 1, 1, 1), bool),
    )
    _, acts = capture(model, tokens, ("attn.z", "attn.v"), edits=(edit,))
    expected = jnp.einsum("qk,lkhd->lqhd", uniform, acts["attn.v"])
    np.testing.assert_allclose(acts["attn.z"], expected, rtol=1e-5, atol=1e-5)


def test_results_add_up_to_the_output(model):
    _, acts = capture(model, some_tokens(2, 9), ("attn.result", "attn.out"))
    total = acts["attn.result"].sum(axis=-2) + model.blocks.attn.b_O[:, None, None]
    np.testing.assert_allclose(total, acts["attn.out"], rtol=1e-5, atol=1e-5)


def test_residual_stream_is_the_sum_of_what_is_written(model):
    names = ("embed", "pos_embed", "attn.out", "mlp.out", "resid_post")
    _, acts = capture(model, some_tokens(9), names)
    total = acts["embed"] + acts["pos_embed"]
    total = total + acts["attn.out"].sum(0) + acts["mlp.out"].sum(0)
    np.testing.assert_allclose(total, acts["resid_post"][-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["q", "k", "v"])
def test_split_inputs_change_their_own_part_alone(model, name):
    tokens = some_tokens(9)
    parts = ("attn.q", "attn.k", "attn.v")
    one = jr.normal(jr.key(3), (12,))
    delta = jnp.zeros((2, 9, 3, 12)).at[0, :, 1].set(one)
    clean = capture(model, tokens, parts)[1]
    moved = capture(model, tokens, parts, edits=(Add(f"attn.{name}_in", delta),))[1]
    for part in parts:
        change = jnp.abs(moved[part] - clean[part])[0].max(axis=(0, 2))
        touched = [part == f"attn.{name}" and head == 1 for head in range(3)]
        assert ((change > 1e-4) == jnp.array(touched)).all(), part


def test_vmap_over_edits_equals_a_loop(model):
    tokens = some_tokens(9)
    masks = 1 - jnp.eye(6).reshape(6, 2, 3, 1)

    @jax.jit
    def ablated(mask):
        return run(model, tokens, edits=(Scale("attn.z", mask),))

    together = jax.vmap(ablated)(masks)
    for mask, row in zip(masks, together, strict=True):
        np.testing.assert_allclose(row, ablated(mask), rtol=1e-5, atol=1e-5)


def test_gradient_at_a_zero_edit_predicts_a_small_one(model):
    tokens = some_tokens(9)

    def metric(delta):
        return run(model, tokens, edits=(Add("attn.z", delta),))[-1, 3]

    zero = jnp.zeros((2, 9, 3, 4))
    direction = jr.normal(jr.key(7), zero.shape)
    slope = (jax.grad(metric)(zero) * direction).sum()
    step = 1e-2
    measured = (metric(step * direction) - metric(-step * direction)) / (2 * step)
    assert measured == pytest.approx(float(slope), rel=2e-2)


def test_transformer_lens_names_select_a_layer(model):
    tokens = some_tokens(9)
    own = capture(model, tokens, ("attn.z", "resid_mid"))[1]
    names = ("blocks.1.attn.hook_z", "blocks.0.hook_resid_mid", "hook_embed")
    theirs = capture(model, tokens, names)[1]
    np.testing.assert_array_equal(theirs[names[0]], own["attn.z"][1])
    np.testing.assert_array_equal(theirs[names[1]], own["resid_mid"][0])


def test_edits_with_transformer_lens_names_touch_one_layer(model):
    tokens = some_tokens(9)
    mask = jnp.ones((3, 1)).at[2].set(0)
    by_name = run(model, tokens, edits=(Scale("blocks.1.attn.hook_z", mask),))
    by_axis = Scale("attn.z", jnp.stack([jnp.ones((3, 1)), mask]))
    np.testing.assert_array_equal(by_name, run(model, tokens, edits=(by_axis,)))
    value = jnp.zeros((9, 12))
    edit = Replace("blocks.1.hook_resid_pre", value, jnp.ones((9, 1), bool))
    acts = capture(model, tokens, ("resid_pre",), edits=(edit,))[1]["resid_pre"]
    assert not acts[1].any()
    assert acts[0].any()
    add = Add("blocks.0.hook_attn_out", jnp.ones(12))
    changed = capture(model, tokens, ("attn.out",), edits=(add,))[1]["attn.out"]
    clean = capture(model, tokens, ("attn.out",))[1]["attn.out"]
    np.testing.assert_allclose(changed[0], clean[0] + 1, rtol=1e-5)


@pytest.mark.parametrize("loop", ["scan", "unrolled", "python"])
def test_capture_and_edits_work_in_both_loops(model, loop):
    edit = Scale("mlp.post", jnp.full((2, 1, 20), 0.5))
    logits, acts = capture(
        model, some_tokens(9), ("mlp.post",), edits=(edit,), loop=loop
    )
    want, expected = capture(model, some_tokens(9), ("mlp.post",), edits=(edit,))
    np.testing.assert_allclose(logits, want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(acts["mlp.post"], expected["mlp.post"], atol=1e-5)


@pytest.mark.parametrize(
    ("site", "words"),
    [
        ("attn.zz", "did you mean 'attn.z'"),
        ("blocks.7.attn.hook_z", "has 2 layers"),
        ("blocks.0.hook_embed", "not inside the blocks"),
        ("ln1_post.scale", "unknown site"),
        ("blocks.1.attn.hook_patern", "did you mean 'blocks.1.attn.hook_pattern'"),
    ],
)
def test_unknown_sites_are_named_before_tracing(model, site, words):
    with pytest.raises(ValueError, match=words):
        capture(model, some_tokens(9), (site,))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda: Scale("attn.zz", jnp.ones((2, 3, 1))), "did you mean"),
        (lambda: Scale("attn.z", jnp.ones((3, 3, 1))), "does not broadcast"),
        (lambda: Scale("attn.z", jnp.ones((2, 3))), "does not broadcast"),
        (lambda: Scale("attn.hook_z", jnp.ones((2, 3, 1))), "give the layer"),
    ],
)
def test_edits_that_do_not_fit_are_named(model, edit, words):
    with pytest.raises(ValueError, match=words):
        run(model, some_tokens(9), edits=(edit(),))


def test_an_edit_at_ln1_beside_split_inputs_is_refused(model):
    edits = (
        Add("attn.q_in", jnp.zeros((2, 9, 3, 12))),
        Scale("ln1.normalized", jnp.ones((2, 9, 12))),
    )
    with pytest.raises(ValueError, match="use only one"):
        run(model, some_tokens(9), edits=edits)


def test_nothing_is_materialised_that_was_not_asked_for(model):
    text = str(jax.make_jaxpr(lambda m, t: m(t))(model, some_tokens(9)))
    # One residual stream per head would have the shape [pos, head, d_model].
    assert "9,3,12" not in text


def test_taylor_mode_goes_through_the_python_loop():
    from jax.experimental import jet

    model = Transformer(toy("relu"), key=jr.key(0))
    tokens = some_tokens(9)

    def along(t):
        delta = t * jr.normal(jr.key(3), (2, 9, 12))
        return run(model, tokens, edits=(Add("resid_pre", delta),), loop="python").sum()

    _, (first,) = jet.jet(along, (0.1,), ((1.0,),))
    expected = jax.grad(along)(0.1)
    assert float(first) == pytest.approx(float(expected), rel=1e-4)
