"""Frozen attention, decompositions and accuracy, on models whose answers are known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc import taylor
from jaxcirc.models import Add, capture
from jaxcirc.taylor import Series

from .._wide import double_precision
from .made import TOKENS, ends

GQA = {"n_heads": 4, "n_kv_heads": 2, "d_head": 4}
KINDS = {
    "layer_norm": {"d_mlp": 12},
    "rms": {**GQA, "norm": "rms", "positions": "rotary"},
}


@pytest.mark.parametrize("parts", KINDS.values(), ids=KINDS)
def test_a_frozen_model_is_itself_and_feels_no_queries(parts):
    with double_precision():
        model, _ = ends(**parts)
        frozen = taylor.freeze(model, TOKENS, norms=True)
        np.testing.assert_allclose(
            model(TOKENS, edits=frozen), model(TOKENS), atol=1e-14, rtol=1e-14
        )
        fn = lambda m: jnp.square(m(TOKENS, edits=frozen)).sum()
        slopes = eqx.filter_jit(eqx.filter_grad(fn))(model)
        assert not slopes.blocks.attn.W_Q.any()
        assert not slopes.blocks.attn.W_K.any()
        assert slopes.blocks.attn.W_V.any()


def test_frozen_attention_alone_is_affine_in_embeddings_and_an_mlp_is_not():
    with double_precision():
        delta = jnp.asarray(np.random.default_rng(0).standard_normal((2, 5, 8)))

        def second(**parts):
            model, _ = ends(n_layers=1, **parts)
            kept = taylor.freeze(model, TOKENS, norms=True)
            start, end = jnp.zeros_like(delta), delta
            fn = lambda d: model(TOKENS, edits=(*kept, Add("embed", d)), loop="python")
            return taylor.expand(fn, start, end, order=2).norms()[2]

        assert second() == 0
        assert second(d_mlp=12) > 1e-3
        assert second(logit_softcap=3.0) > 1e-3


def test_nothing_to_freeze_is_refused():
    model, _ = ends()
    with pytest.raises(ValueError, match="both False"):
        taylor.freeze(model, TOKENS, pattern=False)


def test_the_parts_of_a_change_add_up_and_know_their_cause():
    with double_precision():
        base, tuned = ends(norm="none", n_layers=1)
        parts = taylor.decompose(base, tuned, TOKENS)
        whole = parts.tuned - parts.base
        total = (parts.ov - parts.base) + (parts.qk - parts.base) + parts.interaction
        np.testing.assert_allclose(total, whole, atol=1e-13)
        np.testing.assert_allclose(parts.tuned, tuned(TOKENS), atol=1e-13)
        queries = eqx.tree_at(lambda m: m.blocks.attn.W_Q, base, tuned.blocks.attn.W_Q)
        moved = taylor.decompose(base, queries, TOKENS).sizes()
        np.testing.assert_allclose(moved, [0, 1, 0], atol=1e-13)
        same = taylor.decompose(base, base, TOKENS).sizes()
        assert not same.any()


def test_accuracy_is_exact_at_the_degree_and_one_at_order_zero():
    with double_precision():
        base, tuned = ends(n_layers=1)
        tuned = eqx.tree_at(lambda m: m.W_U, base, tuned.W_U)
        series = taylor.along(base, tuned, TOKENS, order=3)
        found = taylor.accuracy(series, tuned(TOKENS), targets=TOKENS)
        np.testing.assert_allclose(found.relative_error, [1, 0, 0, 0], atol=1e-13)
        np.testing.assert_allclose(found.kl[1:], 0, atol=1e-13)
        np.testing.assert_allclose(found.r2[1:], 1, atol=1e-13)
        np.testing.assert_allclose(found.agreement[1:], 1)
        np.testing.assert_allclose(found.explained, [0, 1, 1, 1], atol=1e-12)
        assert found.status == "polynomial"


def test_accuracy_by_chunks_is_that_of_all_logits():
    with double_precision():
        base, tuned = ends(d_mlp=12)
        tokens = np.concatenate([TOKENS, TOKENS[:1, ::-1]])
        mask = np.arange(15).reshape(3, 5) % 2 == 0
        series = taylor.along(base, tuned, tokens, order=4)
        given = {"targets": tokens, "mask": mask}
        want = taylor.accuracy(series, tuned(tokens), **given)
        found = taylor.accuracy_along(base, tuned, tokens, chunk=2, **given)
        for one, other in zip(
            jax.tree.leaves(found), jax.tree.leaves(want), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
        assert found.radius == pytest.approx(want.radius, rel=1e-6)
        assert found.status == want.status


def test_a_kink_in_any_example_is_told_by_chunks():
    with double_precision():
        base, tuned = ends(n_layers=1, d_mlp=12, activation="relu")
        series = taylor.along(base, tuned, TOKENS, order=2)
        found = taylor.accuracy_along(base, tuned, TOKENS, order=2, chunk=1)
        assert series.status(1.0) == found.status == "kink"


def test_shapes_that_do_not_fit_are_told():
    series = Series(jnp.zeros((2, 1, 3, 4)))
    with pytest.raises(ValueError, match="Run the model on the same tokens"):
        taylor.accuracy(series, jnp.zeros((1, 3, 5)))
    with pytest.raises(ValueError, match="`targets` has shape"):
        taylor.accuracy(series, jnp.zeros((1, 3, 4)), targets=jnp.zeros((3,), int))


def test_edits_without_a_share_of_t_are_refused():
    model, _ = ends()
    with pytest.raises(ValueError, match="`edits` is empty"):
        taylor.at_sites(model, TOKENS, [])


def test_a_site_is_itself_at_zero_and_edited_at_one():
    with double_precision():
        model, _ = ends(n_layers=1)
        _, acts = capture(model, TOKENS, ("attn.out",))
        from jaxcirc.models import Replace

        where = jnp.ones((1, 1, 1, 1), bool)
        edit = Replace("attn.out", 0 * acts["attn.out"], where)
        series = taylor.at_sites(model, TOKENS, [edit], order=2)
        np.testing.assert_allclose(series(0.0), model(TOKENS), atol=1e-13)
        fn = lambda t: model(
            TOKENS, edits=(Add("attn.out", -t * acts["attn.out"]),), loop="python"
        )
        want = taylor.expand(fn, jnp.zeros(()), jnp.ones(()), order=2)
        np.testing.assert_allclose(series.coefficients, want.coefficients, atol=1e-12)
