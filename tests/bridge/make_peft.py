"""Adapters that PEFT made, with the logits that it gets from them.

    python make_peft.py FOLDER         # writes one folder for each case
    python make_peft.py check FOLDER   # compares adapters of ours with logits of ours

Versions: torch 2.13.0, transformers 5.24.0, peft 0.21.2.
"""

import pathlib
import sys

import numpy as np
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model

TOKENS = np.random.default_rng(0).integers(0, 11, (2, 6))
SIZES = {
    "vocab_size": 11,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 8,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
GPT2 = {"vocab_size": 11, "n_positions": 8, "n_embd": 8, "n_layer": 2, "n_head": 2}
# name: (class of the config, its options, options of the adapter)
CASES = {
    "llama": (
        "LlamaConfig",
        SIZES | {"num_key_value_heads": 1},
        {
            "r": 2,
            "lora_alpha": 6,
            "target_modules": ["q_proj", "v_proj", "o_proj", "down_proj"],
            "rank_pattern": {r"layers\.1\.self_attn\.q_proj": 3},
            "alpha_pattern": {"v_proj": 5},
        },
    ),
    "gpt2": (
        "GPT2Config",
        GPT2,
        {
            "r": 3,
            "lora_alpha": 4,
            "use_rslora": True,
            "fan_in_fan_out": True,
            "target_modules": ["c_attn", "attn.c_proj", "c_fc"],
            "layers_to_transform": [1],
        },
    ),
    "gpt_neox": (
        "GPTNeoXConfig",
        SIZES | {"hidden_size": 16},
        {
            "r": 2,
            "lora_alpha": 2,
            "target_modules": ["query_key_value", "dense", "lm_head"],
        },
    ),
}


def disturb(module: torch.nn.Module, names: str = "") -> None:
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if names in name:
                weight.add_(0.3 * torch.randn_like(weight))


def make(folder: pathlib.Path) -> None:
    for name, (kind, options, adapter) in CASES.items():
        torch.manual_seed(0)
        config = getattr(transformers, kind)(**options)
        base = transformers.AutoModelForCausalLM.from_config(config).float().eval()
        disturb(base)
        base.save_pretrained(folder / name)
        tuned = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **adapter))
        disturb(tuned, "lora_")
        tuned.save_pretrained(folder / name)
        (folder / name / "README.md").unlink(missing_ok=True)
        (folder / name / "generation_config.json").unlink(missing_ok=True)
        with torch.no_grad():
            logits = tuned.eval()(torch.tensor(TOKENS)).logits.numpy()
        np.savez(folder / name / "logits.npz", tokens=TOKENS, logits=logits)


def difference(folder: pathlib.Path) -> float:
    """How far PEFT's logits are from those in the folder."""
    base = transformers.AutoModelForCausalLM.from_pretrained(folder).float().eval()
    tuned = PeftModel.from_pretrained(base, folder).eval()
    kept = np.load(folder / "logits.npz")
    with torch.no_grad():
        logits = tuned(torch.tensor(kept["tokens"])).logits.numpy()
    return float(np.abs(logits - kept["logits"]).max())


if __name__ == "__main__":
    if sys.argv[1] == "check":
        for case in sorted(pathlib.Path(sys.argv[2]).iterdir()):
            print(case.name, difference(case))  # noqa: T201
    else:
        make(pathlib.Path(sys.argv[1]))
