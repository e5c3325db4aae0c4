import jax.random as jr
import numpy as np
import pytest

from jaxcirc.models import MODELS, Transformer, TransformerConfig

from ..models.test_transformer import run


@pytest.mark.parametrize("spec", MODELS.own, ids=lambda spec: spec.name)
def test_every_family_builds_and_runs(spec):
    config = spec.build(11, 8, **spec.tiny)
    assert isinstance(config, TransformerConfig)
    assert (config.d_vocab, config.n_ctx) == (11, 8)
    model = Transformer(config, key=jr.key(0))
    logits = run(model, jr.randint(jr.key(1), (2, 8), 0, 11))
    assert logits.shape == (2, 8, 11)
    # A fresh model knows nothing: no logit far from the others.
    assert np.isfinite(logits).all()
    assert np.abs(logits).max() < 10
    assert spec.summary
    assert len(spec.summary) < 80
