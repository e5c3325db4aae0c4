"""Every family equals transformers, site by site and gradient by gradient."""

import json
import os
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tracr_bridge as tb
from jaxcirc._core import named_leaves
from tracr_bridge.checkpoints._weights import disassemble

from .tiny import CONFIGS, live

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
# Libraries of torch warn of their own affairs.
pytestmark = pytest.mark.filterwarnings("default")
NAMES = list(CONFIGS)
TOKENS = np.random.default_rng(0).integers(0, 31, (2, 20))


@pytest.fixture(params=NAMES, scope="module")
def pair(request, tmp_path_factory):
    """A live module, and ours from the folder that it saves."""
    module = live(request.param)
    folder = str(tmp_path_factory.mktemp(request.param))
    module.save_pretrained(folder)
    return module, tb.load(folder), folder


def test_every_residual_site_and_the_logits_agree(pair):
    module, model, _ = pair
    parity = tb.check_parity(model, module, TOKENS, tolerance=1e-5)
    assert parity.agree, str(parity)
    sites = {row.site for row in parity.rows}
    wanted = {"resid_pre", "resid_post", "logits"}
    wanted |= set() if model.config.parallel else {"resid_mid"}
    assert sites == wanted
    largest = max(row.difference for row in parity.rows if row.layer is not None)
    scale = max(row.scale for row in parity.rows if row.layer is not None)
    assert largest <= 1e-5 * max(1, scale)


def test_gradients_of_every_weight_agree(pair):
    module, model, _ = pair
    ids = torch.tensor(TOKENS)
    module.zero_grad()
    module(ids).logits.log_softmax(-1)[:, :-1].gather(
        -1, ids[:, 1:, None]
    ).mean().neg().backward()

    @jax.jit
    def loss(model):
        logp = jax.nn.log_softmax(model(jnp.asarray(TOKENS)))[:, :-1]
        taken = jnp.take_along_axis(logp, jnp.asarray(TOKENS)[:, 1:, None], -1)
        return -taken.mean()

    with jax.default_matmul_precision("highest"):
        ours = jax.grad(loss)(model)
    family, _ = tb.checkpoints._pretrained.express(model.config)
    in_memory = {disk: name for name, disk in family.in_memory.items()}
    theirs = dict(module.named_parameters())
    for name, gradient in disassemble(ours, family.rules).items():
        expected = theirs[in_memory.get(name, name)].grad.numpy()
        scale = max(np.abs(expected).max(), 1e-3)
        np.testing.assert_allclose(gradient, expected, atol=1e-4 * scale, err_msg=name)


def test_what_is_written_loads_in_transformers_with_equal_logits(pair, tmp_path):
    import transformers

    module, model, _ = pair
    tb.save(model, str(tmp_path))
    again = tb.load(str(tmp_path))
    assert again.config == model.config
    for name, leaf in named_leaves(model).items():
        np.testing.assert_array_equal(named_leaves(again)[name], leaf)
    back = transformers.AutoModelForCausalLM.from_pretrained(
        str(tmp_path), attn_implementation="eager", dtype=torch.float32
    )
    ids = torch.tensor(TOKENS)
    with torch.no_grad():
        assert torch.equal(back(ids).logits, module(ids).logits)


def test_live_modules_and_state_dicts_both_ways(pair):
    module, model, _ = pair
    for found in (
        tb.from_torch(module),
        tb.from_torch(module.state_dict(), module.config),
        tb.from_torch(module.state_dict(), model.config),
        tb.from_torch(tb.to_torch(model)),
    ):
        assert found.config == model.config
        for name, leaf in named_leaves(model).items():
            np.testing.assert_array_equal(named_leaves(found)[name], leaf)
    ids = torch.tensor(TOKENS)
    with torch.no_grad():
        assert torch.equal(tb.to_torch(model)(ids).logits, module(ids).logits)


@pytest.mark.parametrize("name", ["gpt2", "neox", "llama3", "gemma3", "olmo2", "qwen3"])
def test_bfloat16_loads_and_runs(name, tmp_path):
    module = live(name).to(torch.bfloat16)
    module.save_pretrained(str(tmp_path))
    half = tb.load(str(tmp_path), dtype=None)
    assert {x.dtype for x in jax.tree.leaves(half)} == {jnp.dtype(jnp.bfloat16)}
    parity = tb.check_parity(half, module, TOKENS, tolerance=5e-2)
    assert parity.rows[-1].relative < 5e-2, str(parity)
    exact = tb.from_torch(module, dtype=None)
    for a, b in zip(jax.tree.leaves(half), jax.tree.leaves(exact), strict=True):
        np.testing.assert_array_equal(a, b)
    tb.save(half, str(tmp_path / "again"))
    again = tb.load(str(tmp_path / "again"), dtype=None)
    for a, b in zip(jax.tree.leaves(half), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
    wide = tb.load(str(tmp_path))
    assert {x.dtype for x in jax.tree.leaves(wide)} == {jnp.dtype(jnp.float32)}


def test_torch_bin_files_and_split_ones_load(tmp_path):
    module = live("neox")
    state = module.state_dict()
    state["embed_out.weight"] = state.pop("lm_head.weight")
    state["gpt_neox.layers.0.attention.rotary_emb.inv_freq"] = torch.ones(2)
    state["gpt_neox.layers.0.attention.bias"] = torch.ones(1, 1, 4, 4).bool()
    state["gpt_neox.layers.0.attention.masked_bias"] = torch.tensor(-1e9)
    module.config.save_pretrained(str(tmp_path))
    expected = tb.from_torch(module)
    torch.save(state, tmp_path / "pytorch_model.bin")
    equal(tb.load(str(tmp_path)), expected)
    (tmp_path / "pytorch_model.bin").unlink()
    names = list(state)
    files = {name: f"pytorch_model-{i % 2}.bin" for i, name in enumerate(names)}
    for file in set(files.values()):
        part = {n: state[n] for n in names if files[n] == file}
        torch.save(part, tmp_path / file)
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": files}))
    equal(tb.load(str(tmp_path)), expected)


def test_large_models_split_by_transformers_load(tmp_path):
    module = live("llama3")
    module.save_pretrained(str(tmp_path), max_shard_size="20KB")
    assert len(list(pathlib.Path(tmp_path).glob("*.safetensors"))) > 2
    equal(tb.load(str(tmp_path)), tb.from_torch(module))


def test_parity_names_the_first_layer_that_differs():
    module = live("llama")
    model = tb.from_torch(module)
    W_out = model.blocks.mlp.W_out.at[2, 3, 4].add(1.0)
    wrong = eqx.tree_at(lambda m: m.blocks.mlp.W_out, model, W_out)
    parity = tb.check_parity(wrong, module, TOKENS)
    first = parity.first_difference
    assert first is not None
    assert (first.site, first.layer) == ("resid_post", 2)
    assert "resid_post 2" in str(parity)
    assert "differs first" in str(parity)
    assert tb.check_parity(model, tb.from_torch(module), TOKENS).agree


def test_forward_needs_no_torch_once_loaded(tmp_path):
    live("gpt2").save_pretrained(str(tmp_path))
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in ('torch', 'transformers'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import tracr_bridge as tb, jax.numpy as jnp\n"
        f"print(tb.load({str(tmp_path)!r})(jnp.zeros((1, 3), int)).shape)\n"
    )
    import subprocess
    import sys

    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ
    )
    assert out.stdout.strip() == "(1, 3, 37)", out.stderr


def equal(a, b):
    assert a.config == b.config
    for name, leaf in named_leaves(a).items():
        np.testing.assert_array_equal(leaf, named_leaves(b)[name], err_msg=name)
