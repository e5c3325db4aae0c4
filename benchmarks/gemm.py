"""The machine's speed at one large matrix product in each library.

    pip install torch==2.13.0 && python benchmarks/gemm.py

The other benchmarks are mostly matrix products, so no ratio can be far above the ratio
of these two, divided by the share of this rate that the peer reaches already.
"""

import jax
import jax.random as jr
import torch
from _harness import interleave, report, spread

N = 2048


def main():
    x, y = jr.normal(jr.key(0), (N, N)), torch.randn(N, N)
    product = jax.jit(lambda a: a @ a)
    seconds = interleave(
        {"jax": lambda: jax.block_until_ready(product(x)), "torch": lambda: y @ y}
    )
    for name, s in seconds.items():
        rate = 2 * N**3 / spread(s)["median_s"] / 1e9
        report(f"gemm/{name}", n=N, gflop_per_s=round(rate, 1), **spread(s))


if __name__ == "__main__":
    main()
