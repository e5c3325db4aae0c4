"""The reference recipe for a one-layer model's dictionary, in PyTorch.

    PYTHON saes_one_layer_peer.py ACTIVATIONS.npy OUT.npz --latents N --l1 L1 --steps S

Written from the description of the published one-layer replication: relu latents,
squared error summed over the width and averaged over the batch, an L1 penalty summed
over latents and batch, decoder rows of length 1 whose gradients along themselves are
taken off, Adam with b2 = 0.99, and latents that fire on fewer than 10^-5.5 of the
activations begun anew. There 2e9 activations are served at a rate of 1e-4, and latents
are begun anew every 30,000 steps; here both are scaled to the length of the run.
"""

import argparse
import time

import numpy as np
import torch
from torch import nn

RARE = 10**-5.5


class Reference(nn.Module):
    """The weights, and what they make of activations."""

    def __init__(self, width, latents):
        super().__init__()
        self.W_enc = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(width, latents)))
        self.W_dec = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(latents, width)))
        self.b_enc = nn.Parameter(torch.zeros(latents))
        self.b_dec = nn.Parameter(torch.zeros(width))
        with torch.no_grad():
            self.W_dec /= self.W_dec.norm(dim=1, keepdim=True)

    def forward(self, x):
        f = torch.relu((x - self.b_dec) @ self.W_enc + self.b_enc)
        return f, f @ self.W_dec + self.b_dec

    @torch.no_grad()
    def keep_rows_of_length_one(self):
        rows = self.W_dec / self.W_dec.norm(dim=1, keepdim=True)
        self.W_dec.grad -= (self.W_dec.grad * rows).sum(1, keepdim=True) * rows
        self.W_dec.copy_(rows)

    @torch.no_grad()
    def begin_anew(self, rare):
        fresh = Reference(*self.W_enc.shape)
        self.W_enc[:, rare] = fresh.W_enc[:, rare]
        self.W_dec[rare] = fresh.W_dec[rare]
        self.b_enc[rare] = 0


def main():
    """Train, and write the weights as numpy arrays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("activations")
    parser.add_argument("out")
    parser.add_argument("--latents", type=int, required=True)
    parser.add_argument("--l1", type=float, required=True, help="of the batch's sum")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--batch", type=int, default=1024)
    given = parser.parse_args()
    torch.manual_seed(49)
    x = torch.from_numpy(np.load(given.activations))
    model = Reference(x.shape[1], given.latents)
    adam = torch.optim.Adam(model.parameters(), lr=given.rate, betas=(0.9, 0.99))
    per_pass = len(x) // given.batch
    fired, begun = torch.zeros(given.latents), time.perf_counter()
    for step in range(given.steps):
        if step % per_pass == 0:
            order = torch.randperm(len(x))
        at = step % per_pass * given.batch
        batch = x[order[at : at + given.batch]]
        f, out = model(batch)
        l2 = (out - batch).pow(2).sum(-1).mean(0)
        adam.zero_grad()
        (l2 + given.l1 * f.abs().sum()).backward()
        model.keep_rows_of_length_one()
        adam.step()
        fired += (f > 0).sum(0)
        # Once, in the middle: the reference does it every 30,000 of 488,000 steps.
        if step + 1 == given.steps // 2:
            model.begin_anew(fired / (given.batch * (step + 1)) < RARE)
    weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
    rows = np.linalg.norm(weights["W_dec"], axis=1, keepdims=True)
    weights["W_dec"] = weights["W_dec"] / rows
    np.savez(given.out, **weights)
    print(f"seconds {time.perf_counter() - begun:.1f}")


if __name__ == "__main__":
    main()
