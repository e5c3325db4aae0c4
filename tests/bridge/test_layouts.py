"""Old config keys and tensor names of the hub, and TransformerLens' models."""

import json

import numpy as np
import pytest
import safetensors.numpy

import tracr_bridge as tb
from jaxcirc._core import named_leaves
from jaxcirc.checkpoints import CheckpointError
from jaxcirc.models import MODELS, Transformer, capture

from . import made


def same(a, b):
    assert a.config == b.config
    for name, leaf in named_leaves(a).items():
        np.testing.assert_array_equal(leaf, named_leaves(b)[name], err_msg=name)


def rewrite(folder, config, tensors):
    """The folder's files after a function each."""
    path = folder / "config.json"
    path.write_text(json.dumps(config(json.loads(path.read_text()))))
    weights = str(folder / "model.safetensors")
    found = tensors(safetensors.numpy.load_file(weights))
    safetensors.numpy.save_file(found, weights)


def test_pythia_as_the_hub_has_it(tmp_path):
    model = made.write_neox(tmp_path)

    def old_config(raw):
        rotary = raw.pop("rope_parameters")
        raw |= {"rotary_pct": rotary["partial_rotary_factor"]}
        raw |= {"rotary_emb_base": int(rotary["rope_theta"]), "torch_dtype": "float16"}
        del raw["attention_bias"], raw["dtype"]
        return raw | {"tie_word_embeddings": False, "use_cache": True}

    def old_tensors(tensors):
        for layer in range(2):
            name = f"gpt_neox.layers.{layer}.attention"
            tensors[f"{name}.bias"] = np.ones((1, 1, 16, 16), np.uint8)
            tensors[f"{name}.masked_bias"] = np.asarray(-1e9, np.float32)
            tensors[f"{name}.rotary_emb.inv_freq"] = np.ones(1, np.float32)
        return tensors

    rewrite(tmp_path, old_config, old_tensors)
    same(tb.load(str(tmp_path)), model)


def test_gpt2_as_the_hub_has_it(tmp_path):
    (spec,) = (row for row in MODELS if row.name == "gpt2")
    import jax.random as jr

    model = Transformer(spec.build(11, 8, **spec.tiny), key=jr.key(0))
    tb.save(model, str(tmp_path))

    def old_config(raw):
        return raw | {"n_ctx": raw["n_positions"], "n_inner": None}

    def old_tensors(tensors):
        bare = {k.removeprefix("transformer."): v for k, v in tensors.items()}
        mask = np.tril(np.ones((1, 1, 8, 8), np.float32))
        return bare | {f"h.{layer}.attn.bias": mask for layer in range(2)}

    rewrite(tmp_path, old_config, old_tensors)
    same(tb.load(str(tmp_path)), model)


def test_llama_as_the_hub_has_it(tmp_path):
    (spec,) = (row for row in MODELS if row.name == "llama")
    import jax.random as jr

    config = spec.build(11, 8, **spec.tiny, tied=True)
    model = Transformer(config, key=jr.key(0))
    tb.save(model, str(tmp_path))

    def old_config(raw):
        theta = raw.pop("rope_parameters")["rope_theta"]
        raw |= {"rope_theta": theta, "rope_scaling": None, "pretraining_tp": 1}
        return raw | {"architectures": ["LlamaForCausalLM"], "torch_dtype": "bfloat16"}

    def copied_head(tensors):
        copy = tensors["model.embed_tokens.weight"].copy()
        return tensors | {"lm_head.weight": copy}

    rewrite(tmp_path, old_config, copied_head)
    same(tb.load(str(tmp_path)), model)

    def other_head(tensors):
        return tensors | {"lm_head.weight": tensors["lm_head.weight"] + 1}

    rewrite(tmp_path, lambda raw: raw, other_head)
    with pytest.raises(CheckpointError, match="ties the unembedding.*differs"):
        tb.load(str(tmp_path))


@pytest.mark.parametrize("row", tb.FAMILIES, ids=lambda row: row.name)
def test_every_family_of_ours_is_written_and_read_again(row, tmp_path):
    """Also without PyTorch: a tiny model of each row of the model catalogue."""
    import jax.random as jr

    specs = {spec.name: spec for spec in MODELS}
    ours = {"pico_decoder": "pico", "gemma3_text": "gemma3", "mistral": "llama"}
    spec = specs[ours.get(row.name, row.name)]
    more = {"window": 3} if row.name == "mistral" else {}
    config = spec.build(11, 8, **spec.tiny, **more)
    model = Transformer(config, key=jr.key(0))
    tb.save(model, str(tmp_path))
    raw = json.loads((tmp_path / "config.json").read_text())
    assert raw["model_type"] == row.name
    again = tb.load(str(tmp_path))
    for name, leaf in named_leaves(model).items():
        np.testing.assert_array_equal(leaf, named_leaves(again)[name], err_msg=name)


def test_one_family_writes_a_model_whatever_their_order(monkeypatch):
    pretrained = tb.checkpoints._pretrained
    rows = [row for row in MODELS if row.name not in ("attention_only", "grokking")]
    configs = [r.build(11, 8, **r.tiny) for r in rows if not r.name.startswith("rasp")]
    forwards = [pretrained.express(config)[0].name for config in configs]
    monkeypatch.setattr(pretrained, "FAMILIES", tb.FAMILIES[::-1])
    assert [pretrained.express(config)[0].name for config in configs] == forwards


def test_rows_that_hold_nothing_are_left_out_and_written_as_zeros():
    """OPT's table of positions begins with two that padding has."""
    row = tb.rule("wpe", "W_pos", "p m -> p m", unused=2)
    shapes = {"W_pos": (4, 3)}
    table = np.arange(18.0).reshape(6, 3)
    assert row.shape(shapes) == table.shape
    (own,) = row.read(table, shapes)
    np.testing.assert_array_equal(own, table[2:])
    table[:2] = 0
    np.testing.assert_array_equal(row.write([own], shapes), table)


def test_keys_that_a_family_declares_to_have_no_part_are_passed_over():
    (gpt2,) = (row for row in tb.FAMILIES if row.name == "gpt2")
    sizes = {"vocab_size": 11, "n_positions": 8, "n_embd": 8, "n_layer": 1, "n_head": 2}
    with pytest.warns(UserWarning, match="colour"):
        known = gpt2.config(sizes | {"colour": 1})
    assert (
        gpt2._replace(no_part=frozenset({"colour"})).config(sizes | {"colour": 1})
        == known
    )


def test_a_model_of_no_family_says_so(tmp_path):
    import jax.random as jr

    (spec,) = (row for row in MODELS if row.name == "grokking")
    model = Transformer(spec.build(11, 8, **spec.tiny), key=jr.key(0))
    with pytest.raises(ValueError, match="of no family that can be written"):
        tb.save(model, str(tmp_path))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("norm", ["LN", "LNPre", "RMS", "RMSPre", None])
def test_transformer_lens_models_with_all_their_sites(norm):
    lens = pytest.importorskip(
        "transformer_lens", reason="TransformerLens is not installed"
    )
    import jax.numpy as jnp
    import torch

    for more in (
        {"act_fn": "gelu_new", "d_mlp": 20},
        {"attn_only": True},
        {
            "act_fn": "silu",
            "d_mlp": 20,
            "gated_mlp": True,
            "positional_embedding_type": "rotary",
            "rotary_dim": 4,
            "n_key_value_heads": 2,
            "scale_attn_by_inverse_layer_idx": True,
        },
        {
            "act_fn": "relu",
            "d_mlp": 20,
            "parallel_attn_mlp": True,
            "use_local_attn": True,
            "attn_types": ["local", "global"],
            "window_size": 3,
            "attn_scores_soft_cap": 3.0,
            "output_logits_soft_cap": 4.0,
        },
    ):
        cfg = lens.HookedTransformerConfig(
            n_layers=2,
            d_model=16,
            n_heads=4,
            d_head=6,
            n_ctx=12,
            d_vocab=13,
            normalization_type=norm,
            seed=0,
            **more,
        )
        theirs = lens.HookedTransformer(cfg)
        with torch.no_grad():
            for name, weight in theirs.named_parameters():
                if not (cfg.gated_mlp and name.endswith("mlp.b_in")):
                    weight.add_(0.1 * torch.randn_like(weight))
        ours = tb.from_transformer_lens(theirs)
        tokens = np.random.default_rng(0).integers(0, 13, (2, 9))
        with torch.no_grad():
            logits, cache = theirs.run_with_cache(torch.tensor(tokens))
        wanted = ("resid_pre", "attn.z", "attn.pattern", "resid_post")
        found, acts = capture(ours, jnp.asarray(tokens), wanted)
        np.testing.assert_allclose(found, logits.numpy(), atol=2e-5)
        hooks = (
            "hook_resid_pre",
            "attn.hook_z",
            "attn.hook_pattern",
            "hook_resid_post",
        )
        for site, hook in zip(wanted, hooks, strict=True):
            for layer in range(2):
                np.testing.assert_allclose(
                    acts[site][layer],
                    cache[f"blocks.{layer}.{hook}"].numpy(),
                    atol=2e-5,
                    err_msg=f"{site} {layer} {more}",
                )


def lens_weights():
    """Of one layer without MLP, norms folded away, positions not learned."""
    rng = np.random.default_rng(0)
    shapes = {"embed.W_E": (7, 6), "unembed.W_U": (6, 7)}
    shapes |= {f"blocks.0.attn.W_{name}": (1, 6, 6) for name in "QKV"}
    shapes |= {"blocks.0.attn.W_O": (1, 6, 6)}
    return {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}


SAID = {"normalization_type": None, "positional_embedding_type": None}


@pytest.mark.parametrize(
    ("more", "cfg", "options", "unsaid"),
    [
        ((), {"positional_embedding_type": None}, {}, "its norms"),
        ((), {"normalization_type": None}, {}, "its positions"),
        (("blocks.0.mlp.W_in",), SAID, {}, "the activation of its MLPs"),
        # What is said of one thing says nothing of another.
        (
            ("blocks.0.mlp.W_in",),
            {},
            {"activation": "gelu"},
            "its norms.*its positions",
        ),
        (("blocks.0.attn.rotary_sin",), {}, {"norm": "none"}, "its positions"),
        (("blocks.0.attn.rotary_sin",), {"act_fn": "gelu"}, {}, "norms.*positions"),
        (("-unembed.W_U",), SAID, {}, "its unembedding"),
    ],
)
def test_what_leaves_no_tensor_behind_has_to_be_said(more, cfg, options, unsaid):
    weights = lens_weights()
    for name in more:
        if name.startswith("-"):
            del weights[name[1:]]
        else:
            weights[name] = np.zeros((6, 4), np.float32)
    with pytest.raises(ValueError, match=f"nothing says.*{unsaid}.*Give `cfg`"):
        tb.from_transformer_lens(weights, cfg, **options)


def test_what_is_said_of_norms_and_positions_is_followed():
    weights = lens_weights()
    plain = tb.from_transformer_lens(weights, SAID)
    assert (plain.config.norm, plain.config.positions) == ("none", "none")
    same(tb.from_transformer_lens(weights, norm="none", positions="none"), plain)
    for kind, norm in (("LNPre", "layer_nonparametric"), ("RMSPre", "rms")):
        cfg = SAID | {"normalization_type": kind}
        assert tb.from_transformer_lens(weights, cfg).config.norm == norm
    # The table of angles has a column for each dimension that is turned.
    weights["blocks.0.attn.rotary_sin"] = np.zeros((9, 4), np.float32)
    cfg = SAID | {"positional_embedding_type": "rotary", "rotary_dim": None}
    assert tb.from_transformer_lens(weights, cfg).config.sizes.rotary_dim == 4


def test_what_is_no_transformer_lens_model_is_refused():
    cfg = SAID | {"positional_embedding_type": "alibi"}
    with pytest.raises(ValueError, match="`positional_embedding_type` = 'alibi'"):
        tb.from_transformer_lens(lens_weights(), cfg)
    with pytest.raises(ValueError, match="these are not TransformerLens' tensors"):
        tb.from_transformer_lens({"W": np.zeros(3, np.float32)})


@pytest.mark.filterwarnings("default")
def test_to_torch_of_a_family_that_transformers_lacks():
    pytest.importorskip("transformers", reason="transformers is not installed")
    import jax.random as jr

    (spec,) = (row for row in MODELS if row.name == "pico")
    model = Transformer(spec.build(11, 8, **spec.tiny), key=jr.key(0))
    with pytest.raises(ValueError, match="has no 'pico_decoder'; write a folder"):
        tb.to_torch(model)
