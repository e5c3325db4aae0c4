"""Training speed: modular addition, full batch, beside eager PyTorch.

    pip install torch==2.13.0 && python benchmarks/training.py

The model has two layers, width 128, four heads, an MLP of 512, 114 tokens and three
positions: 424,064 parameters, trained by AdamW on 3,831 pairs at once.
"""

import math

import jax
import jax.numpy as jnp
import torch
from _harness import interleave, report, spread
from torch import nn

from jaxcirc._core import named_leaves
from jaxcirc.models import MODELS, Transformer
from jaxcirc.objectives import CrossEntropy
from jaxcirc.tasks import TASKS
from jaxcirc.training import Training
from jaxcirc.training._advance import Lesson, init_state, make_loop

STEPS = 5
SEEDS = 8


class Attention(nn.Module):
    def __init__(self, d_model: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x):
        b, t, m = x.shape
        qkv = self.qkv(x).view(b, t, 3, self.n_heads, -1)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        z = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(z.transpose(1, 2).reshape(b, t, m))


class Block(nn.Module):
    def __init__(self, d_model: int, n_heads: int, d_mlp: int):
        super().__init__()
        self.attn = Attention(d_model, n_heads)
        self.mlp = nn.Sequential(
            nn.Linear(d_model, d_mlp), nn.ReLU(), nn.Linear(d_mlp, d_model)
        )

    def forward(self, x):
        x = x + self.attn(x)
        return x + self.mlp(x)


class TorchModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed = nn.Embedding(config.d_vocab, config.d_model)
        self.pos = nn.Parameter(torch.randn(config.n_ctx, config.d_model) * 0.1)
        self.blocks = nn.ModuleList(
            Block(config.d_model, config.n_heads, config.sizes.d_mlp)
            for _ in range(config.n_layers)
        )
        self.unembed = nn.Linear(config.d_model, config.d_vocab, bias=False)

    def forward(self, tokens):
        x = self.embed(tokens) + self.pos
        for block in self.blocks:
            x = block(x)
        return self.unembed(x)


def torch_steps(config, task):
    torch.manual_seed(0)
    model = TorchModel(config)
    batch = task.examples("train")
    tokens = torch.tensor(batch.tokens.tolist())
    answers = torch.tensor(batch.targets[:, -1].tolist())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1.0)

    def run():
        for _ in range(STEPS):
            optimizer.zero_grad()
            logits = model(tokens)[:, -1]
            nn.functional.cross_entropy(logits, answers).backward()
            optimizer.step()

    return run, sum(p.numel() for p in model.parameters())


def jax_steps(config, task, seeds: int):
    training = Training(batch_size=None, seeds=seeds, weight_decay=1.0)
    loop, state = make_loop(training), init_state(config, training)
    lesson = Lesson(task, CrossEntropy())

    def run():
        nonlocal state
        state, losses = loop(state, jnp.int32(STEPS), lesson)
        jax.block_until_ready(losses)

    return run


def main():
    mod_add = next(row for row in TASKS if row.name == "mod_add").build()
    family = next(row for row in MODELS if row.name == "grokking").build
    config = family(mod_add.d_vocab, mod_add.n_ctx, n_layers=2)
    leaves = named_leaves(Transformer(config, key=jax.random.key(0)))
    parameters = sum(math.prod(leaf.shape) for leaf in leaves.values())
    run_torch, torch_parameters = torch_steps(config, mod_add)
    assert parameters == torch_parameters, (parameters, torch_parameters)
    seconds = interleave(
        {
            "torch": run_torch,
            "jaxcirc": jax_steps(config, mod_add, 1),
            f"jaxcirc_{SEEDS}_seeds": jax_steps(config, mod_add, SEEDS),
        }
    )
    median = {name: spread(s)["median_s"] for name, s in seconds.items()}
    for name, s in seconds.items():
        models = SEEDS if name.endswith("seeds") else 1
        rate = models * STEPS / median[name]
        report(f"training/{name}", model_steps_per_s=round(rate, 3), **spread(s))
    report(
        "training/ratios",
        parameters=parameters,
        over_torch=round(median["torch"] / median["jaxcirc"], 3),
        # 1 when eight models take eight times as long as one.
        seeds_work_rate=round(
            SEEDS * median["jaxcirc"] / median[f"jaxcirc_{SEEDS}_seeds"], 3
        ),
    )


if __name__ == "__main__":
    main()
