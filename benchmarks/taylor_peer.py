"""A peer for `taylor.py`: nested `torch.func.jvp` on model B, with torch 2.13.0.

Its argument is the order. Reads a line for each run and answers `seconds S` for all
derivatives up to that order along a direction of all weights, in one chain of nested
forward mode, the fastest way there.
"""

import sys
import time

import torch
from torch import nn
from torch.func import functional_call, jvp

VOCABULARY, CONTEXT, LAYERS, WIDTH, HEADS, BATCH = 512, 64, 4, 256, 8, 8


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        b, t, _ = x.shape
        qkv = self.qkv(self.first(x)).view(b, t, 3, HEADS, -1)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        # Written out, as forward mode does not go through the fused attention.
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        future = torch.ones(t, t, dtype=torch.bool).triu(1)
        pattern = scores.masked_fill(future, float("-inf")).softmax(-1)
        x = x + self.out((pattern @ v).transpose(1, 2).reshape(b, t, WIDTH))
        return x + self.down(nn.functional.gelu(self.up(self.second(x))))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.pos = nn.Parameter(torch.randn(CONTEXT, WIDTH) * 0.02)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm, self.unembed = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens):
        x = self.embed(tokens) + self.pos
        for block in self.blocks:
            x = block(x)
        return self.unembed(self.norm(x))


def derivatives(base, direction, tokens, model, order):
    """All derivatives of the logits at t = 0 along base + t direction."""

    def at(t):
        weights = {name: x + t * direction[name] for name, x in base.items()}
        return (functional_call(model, weights, (tokens,)),)

    def one_more(fn):
        def both(t):
            values, slopes = jvp(fn, (t,), (torch.ones_like(t),))
            return *values, slopes[-1]

        return both

    fn = at
    for _ in range(order):
        fn = one_more(fn)
    return fn(torch.zeros(()))


if __name__ == "__main__":
    model, other = Model(), Model()
    base = {name: x.detach() for name, x in model.named_parameters()}
    direction = {
        name: 0.1 * (x.detach() - base[name]) for name, x in other.named_parameters()
    }
    tokens = torch.randint(0, VOCABULARY, (BATCH, CONTEXT))
    order = int(sys.argv[1])
    for _ in sys.stdin:
        began = time.perf_counter()
        with torch.no_grad():
            derivatives(base, direction, tokens, model, order)
        print("seconds", time.perf_counter() - began, flush=True)
