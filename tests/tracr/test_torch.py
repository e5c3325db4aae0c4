"""PyTorch modules compute the same, and come back bit for bit."""

import dataclasses

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import tracr_bridge as tb
from jaxcirc.checkpoints import CheckpointError
from jaxcirc.models import Transformer, TransformerConfig

from .test_compile import KINDS, PROGRAMS, compiled, inputs

CONFIG = TransformerConfig(
    d_vocab=7, n_ctx=6, n_layers=2, d_model=8, n_heads=2, d_mlp=12, norm="none"
)
CONFIG = dataclasses.replace(CONFIG, activation="relu", d_vocab_out=3)


@pytest.mark.parametrize("name", KINDS)
def test_logits_are_those_of_the_model(name):
    assert_logits_agree(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [row.name for row in PROGRAMS])
def test_logits_of_every_program_are_those_of_the_model(name):
    assert_logits_agree(name)


def assert_logits_agree(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    row, program = compiled(name)
    sequences = inputs(row, 40)
    longest = [s for s in sequences if len(s) == max(map(len, sequences))][:8]
    ids = np.stack([program.encode(["BOS", *s]) for s in longest])
    with torch.no_grad():
        theirs = tb.to_torch(program.model)(torch.from_numpy(ids).long()).numpy()
    with jax.default_matmul_precision("highest"):
        ours = program.model(jnp.asarray(ids))
    np.testing.assert_allclose(theirs, ours, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
def test_the_round_trip_is_exact(causal):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    config = dataclasses.replace(CONFIG, causal=causal, unembed_bias=True)
    model = Transformer(config, key=jr.key(0))
    leaves, treedef = jax.tree.flatten(model)
    keys = jr.split(jr.key(1), len(leaves))
    noisy = [jr.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]
    model = jax.tree.unflatten(treedef, noisy)
    module = tb.to_torch(model)
    for back in (
        tb.from_torch(module),
        tb.from_torch(module.state_dict(), model.config),
    ):
        for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(model), strict=True):
            np.testing.assert_array_equal(a, b)
    ids = jr.randint(jr.key(2), (4, 6), 0, 7)
    with torch.no_grad():
        theirs = module(torch.from_numpy(np.array(ids)).long()).numpy()
    np.testing.assert_allclose(theirs, model(ids), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="needs its model's `config`"):
        tb.from_torch(module.state_dict())
    state = dict(module.state_dict())
    extra = {**state, "blocks.attn.W_X": state.pop("W_E")}
    with pytest.raises(CheckpointError, match="lacks W_E and holds blocks.attn.W_X"):
        tb.from_torch({k: v for k, v in extra.items() if k != "W_E"}, model.config)
    wider = dataclasses.replace(config, d_mlp=13)
    with pytest.raises(CheckpointError, match=r"\[2, 8, 12\].*\[2, 8, 13\]"):
        tb.from_torch(module.state_dict(), wider)


def test_models_of_another_kind_are_refused():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    config = dataclasses.replace(CONFIG, norm="layer", activation="gelu")
    with pytest.raises(ValueError, match="differs in norm, activation"):
        tb.to_torch(Transformer(config, key=jr.key(0)))


def test_without_pytorch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxcirc\[torch\]'"):
        tb.to_torch(Transformer(CONFIG, key=jr.key(0)))
