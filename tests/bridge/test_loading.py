"""What people write for a source, and what their files call the weights."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import tracr_bridge as tb
from jaxcirc._core import named_leaves
from jaxcirc.checkpoints import CheckpointError
from jaxcirc.models import MODELS, Transformer

from . import made
from .lens import lens_weights

RULES = [
    ["emb", "W_E", "v m -> v m"],
    ["pos", "W_pos", "p m -> p m"],
    *(["att." + x, f"attn.W_{x}", "h m d -> m h d"] for x in "QKV"),
    ["att.O", "attn.W_O", "h d m -> h d m"],
    ["head", "W_U", "m v -> m v"],
]


def same(a, b):
    for name, leaf in named_leaves(a).items():
        np.testing.assert_array_equal(leaf, named_leaves(b)[name], err_msg=name)


def rewritten(folder, change):
    path = str(folder / "model.safetensors")
    safetensors.numpy.save_file(change(safetensors.numpy.load_file(path)), path)


@pytest.mark.parametrize(
    "front", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "net.inner."]
)
def test_what_wrappers_put_in_front_of_names_is_taken_away(front, tmp_path):
    model = made.write_neox(tmp_path)
    rewritten(tmp_path, lambda w: {front + name: x for name, x in w.items()})
    same(tb.load(str(tmp_path)), model)


def test_wrappers_within_names_and_of_lens_weights():
    weights = lens_weights(np.random.default_rng(0))
    plain = tb.from_transformer_lens(weights)
    front = {f"module.{name}": x for name, x in weights.items()}
    same(tb.from_transformer_lens(front), plain)
    within = {n.replace(".0.", ".0._orig_mod."): x for n, x in weights.items()}
    same(tb.from_transformer_lens(within), plain)
    # Of two models none is taken by chance.
    two = front | {f"other.{name}": x for name, x in weights.items()}
    with pytest.raises(ValueError, match="not TransformerLens' tensors"):
        tb.from_transformer_lens(two)
    chosen = {name: x for name, x in two.items() if name.startswith("other.")}
    same(tb.from_transformer_lens(chosen), plain)


def test_heads_of_others_are_ignored_and_names_changed(tmp_path):
    model = made.write_neox(tmp_path)
    head = {"v_head.weight": np.ones(8, np.float32)}
    rewritten(tmp_path, lambda w: w | head)
    with pytest.raises(CheckpointError, match=r"v_head.weight, which.*by `ignore`"):
        tb.load(str(tmp_path))
    same(tb.load(str(tmp_path), ignore=["^v_head[.]"]), model)
    rewritten(
        tmp_path, lambda w: {n.replace("layers", "h"): x for n, x in w.items()} | head
    )
    options = {"ignore": ["^v_head"], "names": {r"\bh\.(\d+)": r"layers.\1"}}
    same(tb.load(str(tmp_path), **options), model)
    # What the model needs is not left out, whatever a pattern finds.
    options["ignore"] = ["weight"]
    same(tb.load(str(tmp_path), **options), model)
    with pytest.raises(ValueError, match="'\\(' is no regular expression"):
        tb.load(str(tmp_path), ignore=["("])
    with pytest.raises(CheckpointError, match="are both 'x'"):
        tb.load(str(tmp_path), names={"^.*": "x"})


def test_a_tied_embedding_is_kept_under_either_name(tmp_path):
    import jax.random as jr

    (spec,) = (row for row in MODELS if row.name == "gpt2")
    model = Transformer(spec.build(11, 8, **spec.tiny), key=jr.key(0))
    tb.save(model, str(tmp_path))
    embed, head = "transformer.wte.weight", "lm_head.weight"
    rewritten(tmp_path, lambda w: {head if n == embed else n: w[n] for n in w})
    same(tb.load(str(tmp_path)), model)

    def diverged(w):
        lost = np.where(np.arange(w[head].shape[1]) == 3, np.nan, w[head])
        lost = lost.astype(np.float32)
        return w | {embed: lost, head: lost.copy()}

    rewritten(tmp_path, diverged)
    assert np.isnan(tb.load(str(tmp_path)).W_E[:, 3]).all()


def test_layers_of_several_types_become_the_widest(tmp_path):
    model = made.write_neox(tmp_path)
    name = "gpt_neox.layers.0.mlp.dense_4h_to_h.weight"
    rewritten(tmp_path, lambda w: w | {name: w[name].astype(np.float16)})
    kept = tb.load(str(tmp_path), dtype=None)
    assert kept.blocks.mlp.W_out.dtype == jnp.float32
    np.testing.assert_array_equal(kept.blocks.mlp.W_out[1], model.blocks.mlp.W_out[1])


def test_every_way_to_write_a_source(tmp_path, monkeypatch):
    folder = tmp_path / "a model"
    model = made.write_neox(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    address = (tmp_path / "a model").as_uri()
    for source in (
        folder,
        f"{folder}/",
        "~/a model",
        address,
        folder / "config.json",
        str(folder / "model.safetensors"),
    ):
        same(tb.load(source), model)
    for source, message in (
        (tmp_path, "holds 1 others that have one, such as a model.*`trajectory`"),
        ("", "an empty string says no model"),
        ("https://huggingface.co/a/b/tree/main", "a revision goes into `revision`"),
        ("https://example.org/model", "only a model's page on the hub is taken"),
        (folder / "other.npz", "no such file or folder"),
    ):
        with pytest.raises(ValueError, match=message):
            tb.load(source)
    np.savez(folder / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="is no model by itself. Give the folder"):
        tb.load(folder / "other.npz")


def test_a_state_dict_holds_more_than_weights():
    model = made.neox()
    family, raw = tb.checkpoints._pretrained.express(model.config)
    state = tb.checkpoints._weights.disassemble(model, family.rules)
    beside = {"gpt_neox._extra_state": 3, "nothing": None}
    same(tb.from_torch({**state, **beside}, raw), model)
    array = {"gpt_neox._extra_state": np.zeros(4, np.uint8)}
    same(tb.from_torch({**state, **array}, raw), model)


def own_series(folder):
    """Checkpoints whose names are nobody else's, and what they are of."""
    rng = np.random.default_rng(0)
    shapes = {"emb": (7, 6), "pos": (5, 6), "att.O": (2, 3, 6), "head": (6, 7)}
    shapes |= {f"att.{x}": (2, 6, 3) for x in "QKV"}
    for step in (0, 10):
        weights = {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}
        np.savez(folder / f"step_{step}.npz", lr=np.float32(3), **weights)
    return dict(
        d_vocab=7, n_ctx=5, n_layers=1, d_model=6, n_heads=2, d_head=3, norm="none",
        attention_bias=False,
    )  # fmt: skip


RENAMED = {"^att[.]": "layers.0.att."}


def own_rules():
    names = [[f"layers.{{layer}}.{r[0]}", *r[1:]] for r in RULES if "att" in r[0]]
    return [row for row in RULES if "att" not in row[0]] + names


def test_a_series_of_ones_own_files(tmp_path):
    from jaxcirc.models import TransformerConfig

    config = TransformerConfig(**own_series(tmp_path))
    rules = [tb.rule(*row) for row in own_rules()]
    options = {"rules": rules, "names": RENAMED, "ignore": ["^lr$"]}
    found = tb.trajectory(tmp_path, config=config, **options)
    assert found.steps == (0, 10)
    with np.load(tmp_path / "step_10.npz") as whole:
        np.testing.assert_array_equal(found.load(10).W_E, whole["emb"])
        np.testing.assert_array_equal(found.load(10).blocks.attn.W_O[0], whole["att.O"])
    with pytest.raises(ValueError, match="both `config`, the model's, and `rules`"):
        tb.trajectory(tmp_path, **options)


def test_a_study_names_its_own_weights(tmp_path):
    from jaxcirc.study import StudyError, load_config, prepare

    (tmp_path / "files").mkdir()
    config = own_series(tmp_path / "files")
    study = {
        "name": "own",
        "trajectory": {
            "source": str(tmp_path / "files"),
            "config": config,
            "rules": own_rules(),
            "names": RENAMED,
            "ignore": ["^lr$"],
        },
        "task": {"name": "tokens", "ids": [i % 7 for i in range(100)], "n_ctx": 4},
        "measure": ["weights"],
        "out": str(tmp_path / "run"),
    }
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps(study))
    prepared = prepare(load_config(str(path)))
    assert prepared.source.checkpoint_steps == (0, 10)
    study["trajectory"]["rules"][0] = ["emb", "W_E"]
    path.write_text(json.dumps(study))
    with pytest.raises(StudyError, match="each of `rules` is.*got"):
        prepare(load_config(str(path)))
