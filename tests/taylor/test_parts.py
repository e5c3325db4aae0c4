"""Paths, single modules and pieces of a line: each adds up to what it is a part of."""

import equinox as eqx
import numpy as np
import pytest

from jaxcirc import taylor

from .._wide import double_precision
from .made import TOKENS, ends


@pytest.mark.parametrize(
    "parts",
    [
        {"norm": "none"},
        {"norm": "rms", "n_heads": 4, "n_kv_heads": 2, "d_head": 4, "tied": True},
    ],
    ids=["bare", "norms"],
)
def test_paths_add_up_to_logits_without_biases(parts):
    with double_precision():
        model, _ = ends(attention_bias=False, **parts)
        found = taylor.paths(model, TOKENS)
        heads = model.config.n_heads
        assert len(found.names) == len(set(found.names)) == (heads + 1) ** 2
        np.testing.assert_allclose(
            found.logits.sum(axis=0), model(TOKENS), atol=1e-13, rtol=1e-12
        )
        assert np.abs(found.rest).max() < 1e-12
        assert (np.diff(found.norms) <= 0).all()


def test_the_largest_paths_and_the_rest_are_the_model():
    with double_precision():
        model, _ = ends(norm="none")
        found = taylor.paths(model, TOKENS, largest=2)
        total = found.logits.sum(axis=0) + found.rest
        np.testing.assert_allclose(total, model(TOKENS), atol=1e-13)
        assert len(found.names) == 2


def test_a_path_that_is_cut_off_says_nothing():
    with double_precision():
        model, _ = ends(norm="none", attention_bias=False)
        W_O = model.blocks.attn.W_O.at[0, 1].set(0)
        model = eqx.tree_at(lambda m: m.blocks.attn.W_O, model, W_O)
        found = taylor.paths(model, TOKENS)
        sizes = dict(zip(found.names, found.norms, strict=True))
        silent = {name for name, size in sizes.items() if not size}
        assert silent == {"L0H1", "L0H1>L1H0", "L0H1>L1H1"}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"d_mlp": 12}, "this one has MLPs"),
        ({"norm_position": "after"}, "norms behind attention"),
        ({"logit_softcap": 3.0}, "a soft cap"),
        ({"n_layers": 12}, "531441 paths"),
    ],
)
def test_models_whose_paths_do_not_add_up_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        taylor.paths(ends(**parts)[0], TOKENS)


def test_each_module_is_expanded_in_the_weights_that_are_its_own():
    with double_precision():
        base, tuned = ends(d_mlp=12)
        # The second layer's first head and MLP are as they were.
        b = tuned.blocks
        at = lambda new, old, *i: new.at[i].set(old[i])
        attn = {
            n: at(getattr(b.attn, n), getattr(base.blocks.attn, n), 1, *index)
            for n, index in {
                "W_Q": (slice(None), 0),
                "W_K": (slice(None), 0),
                "W_V": (slice(None), 0),
                "W_O": (0,),
                "b_Q": (0,),
                "b_K": (0,),
                "b_V": (0,),
            }.items()
        }
        tuned = eqx.tree_at(
            lambda m: [getattr(m.blocks.attn, n) for n in attn], tuned, [*attn.values()]
        )
        found = taylor.by_module(base, tuned, TOKENS, order=3)
        errors = dict(zip(found.names, found.error, strict=True))
        assert set(errors) == {"L0H0", "L0H1", "L1H0", "L1H1", "L0MLP", "L1MLP"}
        assert not errors["L1H0"].any()
        for name in ("L0H1", "L1MLP"):
            assert errors[name][0] > errors[name][3] > 0


def test_a_module_that_is_linear_in_its_weights_is_exact_at_order_one():
    with double_precision():
        base, tuned = ends(norm="none", n_layers=1)
        only = eqx.tree_at(lambda m: m.blocks.attn.W_O, base, tuned.blocks.attn.W_O)
        found = taylor.by_module(base, only, TOKENS, order=2)
        assert (found.error[:, 0] > 1e-3).all()
        assert found.error[:, 1:].max() < 1e-13


def test_modules_are_expanded_in_what_they_read():
    with double_precision():
        base, tuned = ends(norm="none", d_mlp=12, scale=0.1)
        found = taylor.by_module(base, tuned, TOKENS, order=3, of="inputs")
        rows = dict(zip(found.names, found.relative_error, strict=True))
        for name in ("L0H0", "L1MLP"):
            assert rows[name][0] == 1
            assert rows[name][3] < rows[name][1] < 0.5


def test_pieces_of_a_line_err_by_the_power_of_their_length():
    with double_precision():
        base, tuned = ends(scale=0.1, d_mlp=12)
        worst = [
            taylor.recentre(
                base, tuned, TOKENS, segments=n, order=2
            ).relative_error.max(axis=0)
            for n in (4, 8)
        ]
        assert (worst[0][0], worst[1][0]) == (1, 1)
        # Relative to the piece's own change, order k falls with the power k.
        np.testing.assert_allclose(worst[0][1:] / worst[1][1:], [2, 4], rtol=0.25)
        one = taylor.recentre(base, tuned, TOKENS, segments=1, order=2)
        series = taylor.along(base, tuned, TOKENS, order=2)
        want = taylor.accuracy(series, tuned(TOKENS)).relative_error
        np.testing.assert_allclose(one.relative_error[0], want, rtol=1e-9)
        with pytest.raises(ValueError, match="at least 1; got 0"):
            taylor.recentre(base, tuned, TOKENS, segments=0)
