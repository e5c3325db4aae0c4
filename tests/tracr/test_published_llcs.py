"""The published procedure gives what was published, where programs are alike."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc._core import find
from tracr_bridge import published_llcs

pytest.importorskip("tracr.compiler.compiling")


def row(name):
    return find(published_llcs.PUBLISHED_LLCS, name, kind="program")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fraction_of_previous", "histogram", "reverse"])
def test_the_published_coefficient_comes_out(name):
    trials = published_llcs.repeat(row(name), trials=5, key=jr.key(0))
    spread = max(row(name).spread, float(trials.std(ddof=1)))
    assert abs(trials.mean() - row(name).value) < 2 * spread


def test_filling_changes_no_loss():
    from tracr_bridge import compile_named

    model = compile_named("sort_unique").model
    tokens = jr.randint(jr.key(0), (1, 6), 0, 7)
    target = jr.normal(jr.key(1), (1, 6, model.config.d_model))
    longer = jnp.concatenate([tokens, tokens[:, :1]], axis=1)
    more = jnp.concatenate([target, target[:, :1]], axis=1)
    there = jnp.arange(7)[None, :] < 6
    for loss in (published_llcs._squared_error, published_llcs._position_entropy):
        alone = loss(model, (tokens, jnp.ones((1, 6), bool), target))
        np.testing.assert_allclose(loss(model, (longer, there, more)), alone, rtol=1e-5)
    # Positions as classes: the cross-entropy along them, averaged over directions.
    residual = published_llcs._residual(model, tokens, jnp.ones((1, 6), bool))
    log_p = jax.nn.log_softmax(residual[0], axis=0)
    by_hand = -(target[0] * log_p).sum(axis=0).mean()
    found = published_llcs._position_entropy(
        model, (tokens, jnp.ones((1, 6), bool), target)
    )
    np.testing.assert_allclose(found[0], by_hand, rtol=1e-5)
