import dataclasses
import functools
import json
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc.models import Transformer, TransformerConfig, capture

from .reference import reference_logits
from .toys import TOYS, toy


@functools.cache
def perturbed(config: TransformerConfig) -> Transformer:
    """A model none of whose weights has its special initial value of 0 or 1."""
    # NumPy draws: a program that draws every array compiles longer than all others.
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        scale_of_norm = jax.tree_util.keystr(path).endswith(".weight")
        mean = 1.0 if scale_of_norm and config.norm != "rms_plus_one" else 0.0
        return jnp.asarray(rng.normal(mean, 0.3, leaf.shape), leaf.dtype)

    model = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))
    return jax.tree_util.tree_map_with_path(draw, model)


@eqx.filter_jit
def run(model, tokens, **options):
    # An accelerator would round products to fewer digits.
    with jax.default_matmul_precision("highest"):
        return model(tokens, **options)


def some_tokens(*shape: int):
    return jr.randint(jr.key(2), shape, 0, 13)


# Three toys that between them have most parts also run as they do for users.
OPTIMIZED = ("plain", "gemma2_like", "pico_like")


@pytest.mark.parametrize(
    "name",
    [
        *TOYS,
        *(
            pytest.param(name, marks=pytest.mark.optimized, id=f"{name}-optimized")
            for name in OPTIMIZED
        ),
    ],
)
def test_equals_plain_numpy_and_gradients_reach_every_weight(name):
    model, tokens = perturbed(toy(name)), some_tokens(2, 9)

    @eqx.filter_jit
    def logits_and_gradient(model):
        def loss(model):
            logits = model(tokens)
            return jax.nn.log_softmax(logits)[..., 3].sum(), logits

        return jax.grad(loss, has_aux=True)(model)

    with jax.default_matmul_precision("highest"):
        gradient, logits = logits_and_gradient(model)
    for row, sequence in zip(logits, tokens, strict=True):
        expected = reference_logits(model, sequence)
        # Rounding of float32 through two layers; the reference is float64.
        tolerance = 2e-5 * max(np.abs(expected).max(), 1)
        np.testing.assert_allclose(row, expected, atol=tolerance)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert jnp.isfinite(leaf).all(), path
        # A bias on keys adds the same to all scores of a row: softmax forgets it.
        if ".b_K" not in jax.tree_util.keystr(path):
            assert jnp.abs(leaf).max() > 0, path


@pytest.mark.parametrize("name", ["plain", "gemma2_like", "parallel"])
def test_every_loop_gives_the_same(name):
    model, tokens = perturbed(toy(name)), some_tokens(2, 9)
    expected = run(model, tokens, loop="scan")
    for loop in ("unrolled", "python"):
        got = run(model, tokens, loop=loop)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_auto_unrolls_shallow_models_alone():
    shallow, deep = toy("plain"), TransformerConfig(d_vocab=13, n_ctx=9, n_layers=6)
    for config, loop in ((shallow, "unrolled"), (deep, "scan")):
        model, tokens = Transformer(config, key=jr.key(0)), some_tokens(2, 9)
        chosen, same = (
            str(jax.make_jaxpr(lambda m, t, o=option: m(t, loop=o))(model, tokens))
            for option in ("auto", loop)
        )
        assert chosen == same


def test_batch_axes_may_be_any_and_equal_one_by_one():
    model, tokens = perturbed(toy("plain")), some_tokens(2, 3, 9)
    logits = run(model, tokens)
    assert logits.shape == (2, 3, 9, 13)
    for i in range(2):
        for j in range(3):
            np.testing.assert_allclose(
                logits[i, j], run(model, tokens[i, j]), rtol=1e-5, atol=1e-5
            )


def test_causal_logits_do_not_depend_on_later_tokens():
    model, tokens = perturbed(toy("plain")), some_tokens(9)
    changed = tokens.at[6].set((tokens[6] + 1) % 13)
    np.testing.assert_array_equal(run(model, tokens)[:6], run(model, changed)[:6])


def test_a_window_hides_what_is_further_back():
    model = perturbed(TransformerConfig(d_vocab=13, n_ctx=9, n_layers=1, window=3))
    tokens = some_tokens(9)
    changed = tokens.at[0].set((tokens[0] + 1) % 13)
    before, after = run(model, tokens), run(model, changed)
    np.testing.assert_array_equal(before[3:], after[3:])
    assert jnp.abs(before[2] - after[2]).max() > 1e-3


def test_rotary_scores_depend_on_distance_alone():
    config = TransformerConfig(
        d_vocab=13, n_ctx=9, n_layers=1, positions="rotary", norm="none"
    )
    model = perturbed(config)
    _, acts = capture(model, jnp.full(9, 5), ("attn.scores",))
    scores = np.asarray(acts["attn.scores"][0])
    for back in range(5):
        diagonal = np.diagonal(scores, -back, axis1=1, axis2=2)
        assert np.ptp(diagonal, axis=-1).max() < 1e-4


def test_one_compilation_for_any_values():
    traces = []

    @jax.jit
    def logits(model, tokens):
        traces.append(None)
        return model(tokens)

    for seed in range(3):
        logits(Transformer(toy("plain"), key=jr.key(seed)), some_tokens(2, 9) // 2)
    assert len(traces) == 1


def gradient_program(n_layers: int) -> jax.stages.Lowered:
    """The gradient of a small model's logits, lowered and not compiled."""
    config = TransformerConfig(
        d_vocab=13, n_ctx=9, n_layers=n_layers, d_model=16, d_mlp=32
    )
    model = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))
    return jax.jit(jax.grad(lambda m, t: m(t).sum())).lower(model, some_tokens(2, 9))


def test_a_deeper_model_is_no_longer_program():
    shallow, deep = (gradient_program(n).as_text() for n in (12, 24))
    assert len(deep.splitlines()) <= len(shallow.splitlines())


@pytest.mark.slow
def test_compile_time_hardly_grows_with_depth():
    def seconds(n_layers: int) -> float:
        program = gradient_program(n_layers)
        began = time.perf_counter()
        program.compile()
        return time.perf_counter() - began

    enabled = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        seconds(4)
        shallow = min(seconds(4) for _ in range(3))
        deep = min(seconds(24) for _ in range(3))
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)
    assert deep < 1.5 * shallow


def test_bfloat16_runs_close_to_float32():
    model, tokens = perturbed(toy("gemma2_like")), some_tokens(2, 9)
    small = jax.tree.map(lambda x: x.astype(jnp.bfloat16), model)
    logits = run(small, tokens)
    assert logits.dtype == jnp.bfloat16
    error = jnp.abs(logits.astype(jnp.float32) - run(model, tokens)).mean()
    assert error < 0.1  # bfloat16 has 8 bits: 0.4% of logits up to 4, twice over layers


def test_config_round_trips_through_json():
    for name in TOYS:
        config = toy(name)
        data = json.loads(json.dumps(config.to_dict()))
        assert TransformerConfig.from_dict(data) == config
        assert hash(TransformerConfig.from_dict(data)) == hash(config)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_heads": 5}, "does not divide"),
        ({"n_heads": 0}, "at least 1"),
        ({"n_kv_heads": 2}, "n_kv_heads"),
        ({"d_head": 0}, "at least 1 .*Leave it out"),
        ({"positions": "rotary", "rotary_fraction": 0.3}, "even number"),
        ({"window": (1, 2, 3)}, "3 entries for 2 layers"),
    ],
)
def test_bad_configs_are_named(change, words):
    base = {"d_vocab": 13, "n_ctx": 9, "n_layers": 2, "d_model": 12, "n_heads": 3}
    with pytest.raises(ValueError, match=words):
        TransformerConfig(**(base | change))


def test_a_longer_sequence_than_learned_positions_is_refused():
    model = perturbed(toy("plain"))
    with pytest.raises(ValueError, match="got 10 tokens"):
        model(jnp.zeros(10, int))


def test_what_follows_from_other_sizes_follows_them():
    config = TransformerConfig(d_vocab=13, n_ctx=9, d_model=32, n_heads=4, d_mlp=None)
    wider = dataclasses.replace(config, d_model=64)
    assert (config.sizes.d_head, wider.sizes.d_head) == (8, 16)
    assert (config.sizes.d_mlp, wider.sizes.d_mlp) == (128, 256)
    assert wider.sizes.attention_scale == 1 / 4
    rotary = {"positions": "rotary", "rotary_fraction": 0.5}
    longer = dataclasses.replace(config, d_head=64, **rotary)
    assert (longer.sizes.rotary_dim, longer.sizes.attention_scale) == (32, 1 / 8)
    fewer = dataclasses.replace(config, n_heads=2)
    assert (fewer.sizes.n_kv_heads, fewer.sizes.d_head) == (2, 16)
    given = dataclasses.replace(config, d_head=6, attention_scale=0.3)
    assert dataclasses.replace(given, n_heads=2).sizes[1:3] == (2, 6)
    assert dataclasses.replace(given, d_head=7).sizes.attention_scale == 0.3


def test_the_same_sizes_given_and_derived_are_one_config():
    config = TransformerConfig(d_vocab=13, n_ctx=9)
    sizes = config.sizes._asdict()
    del sizes["rotary_dim"]  # Known, and not a field.
    given = dataclasses.replace(config, **sizes)
    assert given == config
    assert hash(given) == hash(config)
    assert given != dataclasses.replace(config, d_head=5)
    assert config != "config"


def test_a_config_of_an_earlier_version_is_read_and_stays_whole():
    """Earlier ones wrote every size out; what is read follows from the others again."""
    written = {
        "d_vocab": 13,
        "n_ctx": 9,
        "n_layers": 2,
        "d_model": 32,
        "n_heads": 4,
        "n_kv_heads": 4,
        "d_head": 8,
        "d_mlp": 20,
        "d_vocab_out": 13,
        "attention_scale": 8**-0.5,
        "embedding_scale": 1.0,
        "init_std": 0.8 / 32**0.5,
        "window": [4, None],
    }
    config = TransformerConfig.from_dict(json.loads(json.dumps(written)))
    assert written.items() <= (config.to_dict() | {"window": [4, None]}).items()
    assert config.sizes.d_mlp == 20
    assert dataclasses.replace(config, d_head=64).sizes.attention_scale == 1 / 8
    assert dataclasses.replace(config, d_vocab=15).sizes.d_vocab_out == 15
    # Heads that do not divide the stream cannot follow from it.
    odd = config.to_dict() | {"n_heads": 5, "n_kv_heads": 5}
    assert TransformerConfig.from_dict(odd).sizes.d_head == 8
