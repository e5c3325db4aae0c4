"""Frozen scores of EAP-IG's and auto-circuit's own code, for `test_circuits.py`.

    pip install torch==2.13.0 && pip install transformer-lens==3.9.0 einops ordered-set
    git clone https://github.com/hannamw/EAP-IG
    git -C EAP-IG checkout 795f560
    git clone https://github.com/UFO-101/auto-circuit
    git -C auto-circuit checkout 98db58c
    export PYTHONPATH=EAP-IG/src:auto-circuit
    python tests/parity/make_circuits.py > tests/parity/circuits.json

Their code is run as it is, in double precision, on tokens instead of text and on the
CPU. Inputs are those of `circuit_inputs.py`.
"""

import contextlib
import functools
import json
import sys
import types

import circuit_inputs as given
import numpy as np
import torch
import transformer_lens
from transformer_lens import HookedTransformer, HookedTransformerConfig

DOUBLE = torch.float64


def model() -> HookedTransformer:
    config = HookedTransformerConfig(
        n_layers=given.LAYERS,
        n_heads=given.HEADS,
        d_model=given.D_MODEL,
        d_head=given.D_HEAD,
        d_mlp=given.D_MLP,
        d_vocab=given.D_VOCAB,
        n_ctx=given.N_CTX,
        act_fn="gelu_new",
        normalization_type="LN",
        eps=given.EPS,
        dtype=DOUBLE,
        device="cpu",
        use_attn_result=True,
        use_split_qkv_input=True,
        use_hook_mlp_in=True,
        default_prepend_bos=False,
    )
    made = HookedTransformer(config)
    made.load_state_dict(state(), strict=False)
    return made


def state() -> dict[str, torch.Tensor]:
    """The weights by TransformerLens' names and in its order of axes."""
    outer = {"W_E": "embed.W_E", "W_pos": "pos_embed.W_pos", "W_U": "unembed.W_U"}
    found = {}
    for ours, x in given.weights().items():
        name = ours.replace(".weight", ".w").replace(".bias", ".b")
        if not name.startswith("blocks."):
            found[outer.get(name, name)] = torch.tensor(x)
            continue
        rest = name.removeprefix("blocks.")
        for layer, y in enumerate(x):
            heads_first = (
                np.moveaxis(y, 1, 0) if rest[-3:] in ("W_Q", "W_K", "W_V") else y
            )
            found[f"blocks.{layer}.{rest}"] = torch.tensor(heads_first.copy())
    found["unembed.b_U"] = torch.zeros(given.D_VOCAB, dtype=DOUBLE)
    return found


def batches(size: int) -> list:
    rows = {k: torch.tensor(v) for k, v in given.prompts().items()}
    label = torch.stack([rows["right"], rows["wrong"]], dim=1)
    whole = (rows["clean"], rows["corrupted"], label)
    return list(zip(*(x.split(size) for x in whole), strict=True))


def difference(logits, label):
    last = logits[:, -1]
    right, wrong = last.gather(1, label).unbind(dim=1)
    return right - wrong


# Their metrics get clean logits and lengths too; one is averaged, as their notebooks
# do, and one is not, as their evaluation wants it.
def averaged(logits, clean_logits, lengths, label):
    return difference(logits, label).mean()


def divergence(logits, clean_logits, lengths, label):
    """From the clean run, at the last position."""
    log = lambda x: x[:, -1].log_softmax(dim=-1)
    clean, now = log(clean_logits).detach(), log(logits)
    return (clean.exp() * (clean - now)).sum(dim=-1).mean()


def each(logits, clean_logits, lengths, label):
    return difference(logits, label)


def tokens_as_they_are(model, inputs, max_length=None):
    lengths = torch.full((len(inputs),), inputs.shape[1])
    return inputs, torch.ones_like(inputs), lengths, inputs.shape[1]


@contextlib.contextmanager
def on_cpu():
    """Their scores are made on a GPU whatever the model is on."""
    zeros = torch.zeros

    @functools.wraps(zeros)
    def there(*shape, **options):
        if options.get("device") == "cuda":
            options["device"] = "cpu"
        return zeros(*shape, **options)

    torch.zeros = there
    try:
        yield
    finally:
        torch.zeros = zeros


def of_eap_ig() -> dict:
    from eap import attribute, evaluate
    from eap.graph import Graph

    attribute.tokenize_plus = evaluate.tokenize_plus = tokens_as_they_are
    made = model()
    scores = lambda get, size, metric=averaged, **options: (
        get(made, Graph.from_model(made), batches(size), metric, quiet=True, **options)
        .detach()
        .numpy()
        .tolist()
    )
    whole, steps = given.EXAMPLES, given.STEPS
    return {
        "eap": scores(attribute.get_scores_eap, whole),
        "eap by 4": scores(attribute.get_scores_eap, 4),
        "eap by 5 and 3": scores(attribute.get_scores_eap, 5),
        "eap of a divergence": scores(attribute.get_scores_eap, whole, divergence),
        "eap zero": scores(attribute.get_scores_eap, whole, intervention="zero"),
        "eap_ig_inputs": scores(attribute.get_scores_eap_ig, whole, steps=steps),
        "eap_ig_activations": scores(
            attribute.get_scores_ig_activations, whole, steps=steps
        ),
        "clean_corrupted": scores(attribute.get_scores_clean_corrupted, whole),
        "information_flow": attribute.get_scores_information_flow_routes(
            made, Graph.from_model(made), batches(whole), quiet=True
        ).tolist(),
        "exact": scores(attribute.get_scores_exact, whole, each),
    }


def of_auto_circuit() -> dict:
    # A name that TransformerLens has since changed.
    from transformer_lens.cache.key_value_cache import TransformerLensKeyValueCache

    transformer_lens.HookedTransformerKeyValueCache = TransformerLensKeyValueCache
    old = types.ModuleType("transformer_lens.past_key_value_caching")
    old.HookedTransformerKeyValueCache = TransformerLensKeyValueCache
    sys.modules[old.__name__] = old
    from auto_circuit.data import PromptDataLoader, PromptDataset
    from auto_circuit.prune_algos.mask_gradient import mask_gradient_prune_scores
    from auto_circuit.utils.graph_utils import patchable_model

    rows = {k: torch.tensor(v) for k, v in given.prompts().items()}
    data = PromptDataset(
        rows["clean"],
        rows["corrupted"],
        list(rows["right"][:, None]),
        list(rows["wrong"][:, None]),
    )
    loader = PromptDataLoader(
        data, seq_len=None, diverge_idx=0, batch_size=given.EXAMPLES, shuffle=False
    )
    made = patchable_model(
        model(), factorized=True, slice_output="last_seq", separate_qkv=True
    )
    found = mask_gradient_prune_scores(
        made, loader, None, "logit", "avg_diff", mask_val=0.0
    )
    # By edge, since they have an order of their own.
    return {
        "mask_gradient": {
            edge.name: float(edge.prune_score(found))
            for edge in sorted(made.edges, key=lambda edge: edge.name)
        }
    }


def rounded(x):
    """Seven digits, which is more than is compared."""
    if isinstance(x, dict):
        return {name: rounded(value) for name, value in x.items()}
    return [rounded(y) for y in x] if isinstance(x, list) else float(f"{x:.7g}")


if __name__ == "__main__":
    with on_cpu():
        everything = {"eap_ig": of_eap_ig(), "auto_circuit": of_auto_circuit()}
    print(json.dumps(rounded(everything)))
