import dataclasses
import inspect

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


@pytest.mark.parametrize("spec", MODELS.own, ids=lambda spec: spec.name)
def test_every_field_is_an_option_and_a_contradiction_is_refused(spec):
    """A family is defaults over all fields; what makes it the family stays."""
    parameters = inspect.signature(spec.build).parameters
    assert list(parameters) == list(TransformerConfig.__dataclass_fields__)
    config = spec.build(11, 8, **spec.tiny | {"n_layers": 3, "clip_qkv": 2.0})
    assert (config.n_layers, config.clip_qkv) == (3, 2.0)
    for name, value in spec.build.parts.items():
        assert spec.build(11, 8, **spec.tiny, **{name: value}) is not None
        with pytest.raises(ValueError, match=f"`{name}` is .* in this family"):
            spec.build(11, 8, **spec.tiny, **{name: "another"})


@pytest.mark.parametrize("spec", MODELS.own, ids=lambda spec: spec.name)
def test_a_changed_config_keeps_no_stale_size(spec):
    """Wider heads from the start, or made so later: the same model."""
    before = spec.build(11, 8, **spec.tiny)
    later = dataclasses.replace(before, d_head=16)
    fresh = spec.build(11, 8, **spec.tiny, d_head=16)
    assert later == fresh
    assert later.sizes.attention_scale == 1 / 4
