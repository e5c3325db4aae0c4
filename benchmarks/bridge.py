"""Loading, streaming, forward and generation beside transformers and TransformerLens.

    pip install torch==2.13.0 && pip install -r benchmarks/requirements.txt
    python benchmarks/bridge.py                  # all of it; needs 8 GB of disk
    python benchmarks/bridge.py --device         # forward and generation, on a GPU

A GPT-NeoX in the shape of Pythia 160M and a GPT-2 small, both with random weights. Each
load runs in a process of its own, whose largest resident memory less that after the
imports is reported; the file is in the page cache for all of them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

NEOX = {
    "vocab_size": 50304,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 2048,
}
CHECKPOINTS = 10

OURS = """
import tracr_bridge as tb, jax
import jax.numpy as jnp
jnp.zeros(3).block_until_ready()
def load():
    return jax.block_until_ready(tb.load(folder))
"""
PEER = """
import torch, transformers
sys.path.insert(0, "benchmarks")
from bridge import lens_of
torch.set_grad_enabled(False)
def load():
    hf = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return lens_of(hf)
"""
HUGGINGFACE = """
import torch, transformers
torch.set_grad_enabled(False)
def load():
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32
    )
"""
STREAM = """
import tracr_bridge as tb, jax
import jax.numpy as jnp
jnp.zeros(3).block_until_ready()
def load():
    for step, model in tb.trajectory(folder).stream():
        jax.block_until_ready(model)
"""
MEASURE = """
import gc, json, sys, time
folder = sys.argv[1]
{setup}
def resident():
    with open("/proc/self/status") as file:
        return {{l.split(":")[0]: l.split()[1] for l in file if l.startswith("Vm")}}
gc.collect()
before = int(resident()["VmRSS"])
open("/proc/self/clear_refs", "w").write("5")
began = time.perf_counter()
model = load()
seconds = time.perf_counter() - began
peak = int(resident()["VmHWM"])
print(json.dumps({{"seconds": seconds, "peak_bytes": 1024 * (peak - before)}}))
"""


def fresh(setup: str, folder: str) -> dict:
    """Seconds and peak bytes of one load in a process of its own."""
    code = MEASURE.format(setup=setup)
    out = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True
    )
    if out.returncode:
        raise RuntimeError(out.stderr[-2000:])
    return json.loads(out.stdout.strip().splitlines()[-1])


def loading(folder: str) -> None:
    sizes = [
        os.path.getsize(os.path.join(folder, f))
        for f in os.listdir(folder)
        if f.endswith(".safetensors")
    ]
    runs = {"jaxcirc": OURS, "transformers_and_tl": PEER, "transformers": HUGGINGFACE}
    found = {name: [] for name in runs}
    for _ in range(5):
        for name, setup in runs.items():
            found[name].append(fresh(setup, folder))
    for name, rows in found.items():
        peak = max(row["peak_bytes"] for row in rows)
        report(
            f"bridge/load/{name}",
            model_mb=round(sum(sizes) / 1e6),
            peak_of_model=round(peak / sum(sizes), 3),
            **spread([row["seconds"] for row in rows]),
        )


def streaming(folder: str, root: str) -> None:
    for step in range(CHECKPOINTS):
        there = os.path.join(root, f"step{step}")
        os.makedirs(there)
        for file in os.listdir(folder):
            with open(os.path.join(folder, file), "rb") as source:
                data = bytearray(source.read())
            if file.endswith(".safetensors"):
                # Other last weights, so that no two are the same.
                data[-1_000_000:] = bytes([step]) * 1_000_000
            with open(os.path.join(there, file), "wb") as target:
                target.write(data)
    size = os.path.getsize(os.path.join(root, "step0", "model.safetensors"))
    row = fresh(STREAM, root)
    report(
        "bridge/stream",
        checkpoints=CHECKPOINTS,
        peak_of_one=round(row["peak_bytes"] / size, 3),
        seconds=round(row["seconds"], 3),
    )


def lens_of(module):
    """TransformerLens' conversion of a live module, as its loader does it offline.

    `HookedTransformer.from_pretrained` takes names of the hub alone.
    """
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained import weight_conversions

    c = module.config
    neox = c.model_type == "gpt_neox"
    own = {
        "act_fn": "gelu" if neox else "gelu_new",
        "n_ctx": c.max_position_embeddings,
    }
    if neox:
        own |= {
            "positional_embedding_type": "rotary",
            "rotary_dim": 16,
            "rotary_adjacent_pairs": False,
            "parallel_attn_mlp": True,
        }
    cfg = HookedTransformerConfig(
        n_layers=c.num_hidden_layers,
        d_model=c.hidden_size,
        n_heads=c.num_attention_heads,
        d_head=c.hidden_size // c.num_attention_heads,
        d_mlp=4 * c.hidden_size,
        d_vocab=c.vocab_size,
        normalization_type="LN",
        device="cpu",
        **own,
    )
    convert = (
        weight_conversions.convert_neox_weights
        if neox
        else weight_conversions.convert_gpt2_weights
    )
    lens = HookedTransformer(cfg)
    lens.load_and_process_state_dict(
        convert(module, cfg),
        fold_ln=False,
        center_writing_weights=False,
        center_unembed=False,
        fold_value_biases=False,
    )
    return lens


def gpt2_small():
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.GPT2Config()
    return transformers.AutoModelForCausalLM.from_config(
        config, attn_implementation="eager"
    ).eval()


def forward(device: str) -> None:
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np
    import torch

    import tracr_bridge as tb

    torch.set_grad_enabled(False)
    module = gpt2_small()
    ours = tb.from_torch(module)
    module = module.to(device)
    ids = np.random.default_rng(0).integers(0, 50257, (4, 128))
    theirs = torch.tensor(ids, device=device)
    tokens = jnp.asarray(ids)
    step = eqx.filter_jit(lambda m, t: m(t))
    wait = torch.cuda.synchronize if device != "cpu" else lambda: None

    def run_torch(model):
        def run():
            out = model(theirs)
            wait()
            return out

        return run

    runs = {"huggingface_eager": run_torch(module)}
    if device == "cpu":
        runs["transformer_lens"] = run_torch(lens_of(module))
    runs["jaxcirc"] = lambda: step(ours, tokens).block_until_ready()
    with jax.default_matmul_precision("highest"):
        seconds = interleave(runs, repeats=9)
        difference = np.abs(
            np.asarray(step(ours, tokens)) - module(theirs).logits.cpu().numpy()
        ).max()
    for name, times in seconds.items():
        report(
            f"bridge/forward/{name}",
            batch=4,
            pos=128,
            largest_difference=float(difference),
            **spread(times),
        )


def generation(device: str) -> None:
    import jax
    import jax.numpy as jnp
    import numpy as np
    import torch

    import tracr_bridge as tb
    from jaxcirc.models import generate

    torch.set_grad_enabled(False)
    module = gpt2_small()
    ours = tb.from_torch(module)
    module = module.to(device)
    ids = np.random.default_rng(0).integers(0, 50257, (1, 32))
    given = torch.tensor(ids, device=device)
    new = 64

    def theirs():
        out = module.generate(
            given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=new,
            min_new_tokens=new,
            do_sample=False,
            pad_token_id=0,
        )
        return out.cpu()

    def mine():
        return np.asarray(generate(ours, jnp.asarray(ids), new))

    with jax.default_matmul_precision("highest"):
        seconds = interleave({"transformers": theirs, "jaxcirc": mine}, repeats=5)
        same = float((mine() == theirs().numpy()).mean())
    for name, times in seconds.items():
        row = spread(times)
        report(
            f"bridge/generate/{name}",
            prompt=32,
            new=new,
            tokens_per_s=round(new / row["median_s"], 1),
            same_tokens=same,
            **row,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", action="store_true", help="on an accelerator")
    parser.add_argument("--only", help="load, stream, forward or generate")
    arguments = parser.parse_args()
    from _harness import interleave, report, spread

    wanted = [arguments.only] if arguments.only else ["load", "stream"]
    if not arguments.only or arguments.device:
        wanted = wanted if not arguments.device else []
        wanted += ["forward", "generate"]
    device = "cuda" if arguments.device else "cpu"
    if {"load", "stream"} & set(wanted):
        import torch
        import transformers

        with tempfile.TemporaryDirectory() as root:
            folder = os.path.join(root, "neox")
            config = transformers.GPTNeoXConfig(**NEOX)
            torch.manual_seed(0)
            transformers.AutoModelForCausalLM.from_config(config).save_pretrained(
                folder
            )
            if "load" in wanted:
                loading(folder)
            if "stream" in wanted:
                streaming(folder, os.path.join(root, "series"))
    if "forward" in wanted:
        forward(device)
    if "generate" in wanted:
        generation(device)
