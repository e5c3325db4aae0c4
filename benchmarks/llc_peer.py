"""A peer for `llc.py`: devinterp 2.0.1 or 1.3.2, whichever this interpreter has.

Reads a number of draws per line and answers `seconds S` for 8 chains of that length.
"""

import sys
import time
import warnings

import torch
from torch import nn

warnings.simplefilter("ignore")
CHAINS, BATCH, N = 8, 512, 4096


class Block(nn.Module):
    def __init__(self, d_model=128, n_heads=4, d_mlp=512):
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)
        self.up, self.down = nn.Linear(d_model, d_mlp), nn.Linear(d_mlp, d_model)

    def forward(self, x):
        b, t, m = x.shape
        qkv = self.qkv(x).view(b, t, 3, self.n_heads, -1)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        z = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(z.transpose(1, 2).reshape(b, t, m))
        return x + self.down(torch.relu(self.up(x)))


class Transformer(nn.Module):
    def __init__(self, d_model=128, vocabulary=114, pos=3):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, d_model)
        self.pos = nn.Parameter(torch.randn(pos, d_model) * 0.1)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.unembed = nn.Linear(d_model, vocabulary, bias=False)

    def forward(self, tokens):
        x = self.embed(tokens) + self.pos
        for block in self.blocks:
            x = block(x)
        return self.unembed(x)


def version_2():
    from datasets import Dataset
    from devinterp.slt.sampling import sample

    model = Transformer()
    rows = torch.randint(0, 114, (N, 3)).tolist()
    data = Dataset.from_dict({"input_ids": rows}).with_format("torch")

    def run(draws):
        sample(
            model,
            data,
            {},
            lr=1e-6,
            n_beta=100.0,
            num_chains=CHAINS,
            num_draws=draws,
            batch_size=BATCH,
            localization=1.0,
            num_init_loss_batches=1,
            device="cpu",
            loss_fn=lambda m, ids: nn.functional.cross_entropy(
                m(ids)[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none"
            ),
        )

    return run


def version_1():
    from devinterp.optim import SGLD
    from devinterp.slt.llc import LLCEstimator
    from devinterp.slt.sampler import sample

    model = nn.Sequential(nn.Linear(32, 41), nn.ReLU(), nn.Linear(41, 52))
    x, y = torch.randn(N, 32), torch.randint(0, 52, (N,))
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x, y), batch_size=BATCH, shuffle=True
    )

    def evaluate(model, batch):
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    def run(draws):
        sample(
            model,
            loader,
            evaluate=evaluate,
            sampling_method=SGLD,
            optimizer_kwargs={"lr": 1e-6, "nbeta": 100.0, "localization": 1.0},
            num_draws=draws,
            num_chains=CHAINS,
            num_burnin_steps=0,
            num_steps_bw_draws=1,
            callbacks=[LLCEstimator(CHAINS, draws, init_loss=1.0, nbeta=100.0)],
            verbose=False,
            init_loss=1.0,
        )

    return run


def main():
    run = version_2() if sys.argv[1] == "transformer" else version_1()
    for line in sys.stdin:
        began = time.perf_counter()
        run(int(line))
        print(f"seconds {time.perf_counter() - began}", flush=True)


if __name__ == "__main__":
    main()
