"""Compiled programs against plain Python, RASP's interpreter and tracr's own model."""

import functools
import itertools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import tracr_bridge as tb
from jaxcirc.models import Scale, Transformer, TransformerConfig, capture, without
from tracr_bridge.rasp._compile import convert, interpret, run_many, sample_inputs
from tracr_bridge.rasp.programs import PROGRAMS

compiling = pytest.importorskip("tracr.compiler.compiling")
rasp = pytest.importorskip("tracr.rasp.rasp")

# Exhaustive up to so many sequences, and otherwise so many random ones.
SOME, MOST = 300, 10_000
# Counting, several heads, causal masking, numbers, layers without attention or MLP.
KINDS = ("histogram", "peak", "dominant_peak", "pair_balance", "shuffle_dyck_2")
# One of each kind is enough where programs differ in sizes alone.
ROWS = [row for row in PROGRAMS if "medium" not in row.name and "large" not in row.name]


@functools.cache
def compiled(name):
    row = next(row for row in PROGRAMS if row.name == name)
    made = tb.compile(
        row.build(), row.vocab, row.max_seq_len, causal=row.causal, check=50
    )
    return row, made


def inputs(row, most):
    found, _ = sample_inputs(row.vocab, row.max_seq_len, most)
    return [s for s in found if row.valid is None or row.valid(s)]


def agree(said, expected, tolerance):
    for a, b in zip(said, expected, strict=True):
        if b is None:
            continue  # nothing is said there
        if isinstance(b, float) or tolerance:
            if abs(float(a) - float(b)) > tolerance:
                return False
        elif a != b:
            return False
    return True


@pytest.mark.parametrize("name", [*KINDS, "fraction_of_previous", "reverse"])
def test_a_program_says_what_plain_python_and_the_interpreter_say(name):
    assert_says_the_same(name, SOME)


@pytest.mark.slow
@pytest.mark.parametrize("name", [row.name for row in PROGRAMS])
def test_a_program_is_right_on_ten_thousand_inputs(name):
    assert_says_the_same(name, MOST)


def assert_says_the_same(name, most):
    row, model = compiled(name)
    sequences = inputs(row, most)
    tolerance = 0 if model.categorical else 5e-3
    said = run_many(model, sequences)
    wrong = [
        s
        for s, own in zip(sequences, said, strict=True)
        if not agree(own, row.reference(s), tolerance)
    ]
    assert not wrong, (len(wrong), wrong[:3])
    program = row.build()
    some = list(zip(sequences, said, strict=True))[:: max(1, len(sequences) // 50)]
    for sequence, own in some:
        told = interpret(program, sequence, causal=row.causal)
        assert agree(own, told, tolerance)


@pytest.mark.parametrize("name", KINDS[1:4])
def test_residual_sites_are_those_of_the_haiku_model(name):
    assert_residuals_are_those_of_haiku(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [row.name for row in ROWS if row.max_seq_len <= 10])
def test_every_residual_site_is_that_of_the_haiku_model(name):
    assert_residuals_are_those_of_haiku(name)


def assert_residuals_are_those_of_haiku(name):
    row, model = compiled(name)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        assembled = compiling.compile_rasp_to_model(
            row.build(),
            set(row.vocab),
            row.max_seq_len,
            causal=row.causal,
            compiler_bos="BOS",
            compiler_pad="PAD",
            mlp_exactness=model.exactness.mlp_exactness,
        )
        # Names, and with them the basis, differ from one compilation to the next.
        converted = convert(assembled, row.max_seq_len, causal=row.causal)
    sequences = inputs(row, 60)
    longest = [s for s in sequences if len(s) == max(map(len, sequences))][:8]
    ids = jnp.asarray(np.stack([model.encode(["BOS", *s]) for s in longest]))
    with (
        jax.default_matmul_precision("highest"),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        theirs = assembled.forward(assembled.params, ids).transformer_output
        decoded = assembled.apply(["BOS", *longest[0]]).decoded
        _, acts = capture(converted, ids, ("resid_pre", "resid_mid", "resid_post"))
    np.testing.assert_allclose(acts["resid_pre"][0], theirs.input_embeddings, atol=1e-5)
    # Two residuals per layer: after attention and after the MLP.
    ours = [
        acts[site][layer]
        for layer in range(model.model.config.n_layers)
        for site in ("resid_mid", "resid_post")
    ]
    for mine, other in zip(ours, theirs.residuals, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5)
    own = model(["BOS", *longest[0]]).decoded
    assert agree(own[1:], decoded[1:], 0 if model.categorical else 1e-4)


def test_heads_and_mlps_have_names():
    _, peak = compiled("peak")
    for value in ("value-1", "value+1"):
        assert any(value in name for name in peak.heads.values())
    assert any("peak" in name for name in peak.mlps.values())
    assert len(peak.residual_labels) == peak.model.config.d_model
    # A layer without an MLP has no name.
    _, dyck = compiled("shuffle_dyck_2")
    assert len(dyck.mlps) <= dyck.model.config.n_layers


def test_counting_needs_sharper_mlps_at_greater_lengths():
    program = tb.programs.reverse()
    with pytest.raises(ValueError, match="`mlp_exactness` must be at least 220"):
        tb.compile(program, "abcde", 10, mlp_exactness=100)
    made = tb.compile(program, "abcde", 10)
    assert made.exactness.mlp_exactness == made.exactness.needed == 220
    small = tb.compile(tb.programs.histogram(), "ab", 3)
    assert small.exactness.exhaustive
    assert small.exactness.inputs == 2 + 4 + 8


def test_an_ablated_head_is_missed():
    row, model = compiled("peak")
    layer, head = next(k for k, name in model.heads.items() if "value+1" in name)
    ids = jnp.asarray(model.encode(["BOS", 0, 3, 1, 4, 2]))
    factor = jnp.ones((model.model.config.n_layers, model.model.config.n_heads, 1))
    edit = Scale("attn.z", factor.at[layer, head].set(0))
    scaled = model.model(ids, edits=(edit,))
    smaller = without(model.model, heads=((layer, head),))
    np.testing.assert_allclose(smaller(ids), scaled, atol=1e-6)
    # Without the neighbour's value 3 and 4 are no longer above it.
    assert model.decode(scaled) != model(["BOS", 0, 3, 1, 4, 2]).decoded
    with pytest.raises(ValueError, match="no \\[\\(9, 0\\)\\]"):
        without(model.model, heads=((9, 0),))
    silent = without(model.model, mlps=(0,))
    assert float(jnp.abs(silent.blocks.mlp.W_out[0]).max()) == 0


@pytest.mark.parametrize("more", [{"heads": 1}, {"heads": 2, "d_mlp": 2, "d_model": 3}])
def test_an_extended_model_computes_the_same(more):
    _, model = compiled("sort_unique")
    larger = tb.extended(model.model, **more, key=jr.key(0))
    ids = jnp.asarray(model.encode(["BOS", 3, 1, 2, 6, 5]))
    np.testing.assert_allclose(larger(ids), model.model(ids), atol=1e-5)
    gradient = jax.grad(lambda m: (m(ids) ** 2).sum())(larger)
    if "heads" in more:
        # What is new can learn: its output has a gradient.
        assert float(jnp.abs(gradient.blocks.attn.W_O[:, 1:]).max()) > 0


def test_heads_stay_as_wide_as_they_are_when_a_derived_width_would_change():
    """As of a model that was read from a file, whose sizes follow from each other."""
    config = TransformerConfig(
        d_vocab=7, n_ctx=5, d_model=8, n_heads=2, d_mlp=None, norm="none"
    )
    model = tb.disturbed(Transformer(config, key=jr.key(0)), 0.3, key=jr.key(1))
    larger = tb.extended(model, heads=1, d_model=3, key=jr.key(2))
    assert larger.config.sizes.d_head == 4
    ids = jnp.arange(5)
    np.testing.assert_allclose(larger(ids), model(ids), rtol=1e-5, atol=1e-5)


def test_students_have_the_architecture_and_not_the_weights():
    _, model = compiled("histogram")
    student = model.trainable(key=jr.key(0))
    assert student.config == model.model.config
    assert float(jnp.abs(student.W_E - model.model.W_E).max()) > 0.1
    noisy = tb.disturbed(model.model, 0.01, key=jr.key(0))
    moved = noisy.blocks.attn.W_Q - model.model.blocks.attn.W_Q
    assert float(moved.std()) == pytest.approx(0.01, rel=0.2)
    with pytest.raises(ValueError, match="numbers are of what is added"):
        tb.extended(model.model, heads=-1, key=jr.key(0))


@pytest.mark.parametrize("name", ["palindrome", "pair_balance", "peak"])
def test_a_saved_program_is_the_same_without_tracr(name, tmp_path, monkeypatch):
    row, model = compiled(name)
    tb.save_program(model, str(tmp_path / "program"))
    monkeypatch.setitem(__import__("sys").modules, "tracr", None)
    again = tb.load_program(str(tmp_path / "program"))
    assert again.residual_labels == model.residual_labels
    assert (again.heads, again.mlps) == (model.heads, model.mlps)
    assert again.exactness == model.exactness
    sequences = inputs(row, 20)
    assert run_many(again, sequences) == run_many(model, sequences)


def test_a_program_and_a_checkpoint_are_read_by_names_of_their_own(tmp_path):
    _, model = compiled("peak")
    tb.save_program(model, str(tmp_path / "program"))
    with pytest.raises(ValueError, match="with `load_program`"):
        tb.load(str(tmp_path / "program"))


def test_true_and_one_are_different_tokens(tmp_path):
    _, model = compiled("palindrome")
    assert model.output_values == (False, True)
    tb.save_program(model, str(tmp_path / "p"))
    assert tb.load_program(str(tmp_path / "p")).output_values == (False, True)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([0, 1], "starts with 'BOS'; got \\[0\\]"),
        ([], "got nothing"),
        (["BOS", 0, 9], "token 9 at position 2"),
        (["BOS", *[0] * 11], "11 tokens are more than `max_seq_len` = 10"),
        (["BOS", "PAD2"], "not in the vocabulary: 0, 1, 2, 3, 4"),
        (["BOS", 0, "BOS"], "token 'BOS' at position 2"),
    ],
)
def test_sequences_that_cannot_be_read_are_refused(tokens, message):
    with pytest.raises(ValueError, match=message):
        compiled("peak")[1](tokens)


def test_numbers_are_not_decoded_as_categories_nor_the_reverse():
    _, number = compiled("pair_balance")
    _, category = compiled("peak")
    with pytest.raises(ValueError, match="output is a number, in 1 columns; got 2"):
        number.decode(jnp.zeros((3, 2)))
    with pytest.raises(ValueError, match="output is 2 categories, in 2 columns; got 1"):
        category.decode(jnp.zeros((3, 1)))


def test_what_tracr_refuses_is_passed_on_in_whole():
    numerical = rasp.numerical(rasp.Map(lambda x: x, rasp.tokens))
    bad = rasp.SequenceMap(lambda a, b: a + b, numerical, rasp.tokens).named("bad")
    with pytest.raises(ValueError, match=r"(?s)tracr refuses 'bad.*SequenceMap only"):
        tb.compile(bad, {1, 2}, 3)
    with pytest.raises(ValueError, match="cannot be in it"):
        tb.compile(rasp.tokens, {"BOS", "a"}, 3)
    with pytest.raises(ValueError, match="needs a vocabulary"):
        tb.compile(rasp.tokens, set(), 3)
    # Compiles, and is wrong: an average of categories.
    everywhere = rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.TRUE)
    mean = rasp.Aggregate(everywhere, rasp.tokens).named("mean")
    with pytest.raises(ValueError, match="categorical aggregates"):
        tb.compile(mean, {1, 2}, 3)


def test_what_a_programs_own_functions_raise_is_told():
    """tracr runs them while it compiles, and they may do anything."""
    refused = {
        "division by zero": rasp.Map(lambda x: 1 / x, rasp.tokens),
        "unhashable": rasp.Map(lambda x: [x], rasp.tokens),
        "composite": rasp.Aggregate(
            rasp.SelectorAnd(
                rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ),
                rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.LT),
            ),
            rasp.indices,
        ),
    }
    for words, program in refused.items():
        with pytest.raises(ValueError, match=f"(?s)tracr refuses.*{words}"):
            tb.compile(program, {0, 1}, 3)


def test_what_is_no_program_or_no_length_is_named():
    # Past the shape checks of the tests, as users without them come in.
    bare = getattr(tb.compile, "__wrapped__", tb.compile)
    with pytest.raises(ValueError, match="needs a RASP expression; got 3"):
        bare(3, {1, 2}, 3)
    with pytest.raises(ValueError, match="a whole number of at least 1; got .* 3.0"):
        bare(rasp.tokens, {1, 2}, 3.0)


def test_without_tracr_compiling_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tracr.compiler.compiling", None)
    with pytest.raises(ImportError, match=r"jaxcirc\[tracr\]"):
        tb.compile(None, {1}, 3)


def test_sampled_inputs_are_all_there_are_or_of_every_length():
    every, exhaustive = sample_inputs("ab", 3, 100)
    assert exhaustive
    assert len(every) == 14
    assert len({tuple(s) for s in every}) == 14
    some, exhaustive = sample_inputs("ab", 12, 100)
    assert not exhaustive
    assert set(map(len, some)) >= {1, 12}
    assert list(itertools.chain(*some[:2]))
