"""Peers for `circuits.py`, whichever this interpreter has.

    eap_ig    the EAP-IG repository (commit 795f560) on its path, with
              transformer-lens 3.9.0 and torch 2.13.0: EAP-IG of five steps
    edges     transformer-lens 4.3.0 with torch 2.13.0: edge attribution of one step

Reads a line for each run and answers `seconds S`. Model, prompts and batch have the
shape of `circuits.py`; weights and tokens are random there as here.
"""

import sys
import tempfile
import time
import warnings

import torch

warnings.simplefilter("ignore")
STEPS, PROMPTS, LENGTH = 5, 16, 64
VOCABULARY, LAYERS, WIDTH, HEADS = 5000, 4, 256, 8


def rows():
    """Clean and corrupted tokens, and the right and the wrong answer."""
    made = torch.Generator().manual_seed(0)
    both = torch.randint(0, VOCABULARY, (2, PROMPTS, LENGTH), generator=made)
    answers = torch.randint(0, VOCABULARY - 1, (PROMPTS, 1), generator=made)
    return *both, torch.cat([answers, answers + 1], dim=1)


def difference(logits, labels):
    """Logit of the right answer less that of the wrong one, at the last position."""
    right, wrong = logits[:, -1].gather(1, labels).unbind(dim=1)
    return (right - wrong).mean()


def eap_ig():
    """Scores of all edges by their own code, on tokens and on the CPU."""
    from eap import attribute
    from eap.graph import Graph
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    model = HookedTransformer(
        HookedTransformerConfig(
            n_layers=LAYERS,
            n_heads=HEADS,
            d_model=WIDTH,
            d_head=WIDTH // HEADS,
            d_mlp=4 * WIDTH,
            d_vocab=VOCABULARY,
            n_ctx=LENGTH,
            act_fn="gelu_new",
            normalization_type="LN",
            device="cpu",
            use_attn_result=True,
            use_split_qkv_input=True,
            use_hook_mlp_in=True,
            default_prepend_bos=False,
        )
    )
    # Their scores are made on a GPU whatever the model is on; their prompts are text.
    zeros = torch.zeros
    torch.zeros = lambda *shape, **how: zeros(*shape, **{**how, "device": "cpu"})
    attribute.tokenize_plus = tokens_as_they_are
    batch = [rows()]
    return lambda: attribute.get_scores_eap_ig(
        model, Graph.from_model(model), batch, metric, steps=STEPS, quiet=True
    )


def tokens_as_they_are(_model, tokens, *_):
    """Tokens, mask, lengths and number of positions, as their function has them."""
    lengths = torch.full((len(tokens),), tokens.shape[1])
    return tokens, torch.ones_like(tokens), lengths, tokens.shape[1]


def metric(logits, _clean, _lengths, labels):
    """The difference, by the signature that their methods call."""
    return difference(logits, labels)


def edges():
    """Scores of all edges, a prompt at a time, as the library does it."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.tools.analysis import attribution_patching as patching
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    shape = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=LENGTH,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        attn_implementation="eager",
    )
    with tempfile.TemporaryDirectory() as folder:
        GPT2LMHeadModel(shape).save_pretrained(folder)
        words = Tokenizer(WordLevel({"a": 0}, unk_token="a"))
        PreTrainedTokenizerFast(
            tokenizer_object=words, bos_token="a", eos_token="a"
        ).save_pretrained(folder)
        model = TransformerBridge.boot_transformers(folder, device="cpu")
    model.eval()
    clean, corrupted, labels = rows()
    config = patching.EdgeAttributionConfig(granularity="edge", ig_steps=1)

    def run():
        # A metric sees one prompt's logits and not which one it is.
        patching.attribution_patch(
            model,
            clean,
            corrupted,
            lambda logits: difference(logits, labels[:1]),
            config,
        )

    return run


if __name__ == "__main__":
    run = {"eap_ig": eap_ig, "edges": edges}[sys.argv[1]]()
    for _ in sys.stdin:
        began = time.perf_counter()
        run()
        print("seconds", time.perf_counter() - began, flush=True)
