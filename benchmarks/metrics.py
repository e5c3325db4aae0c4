"""Metrics beside the algorithms of Pico Analyze, in one run.

    pip install torch==2.13.0
    python benchmarks/metrics.py

Theirs: `torch.svd` of every matrix, dense products for circuits, and CKA in feature
space in NumPy, once per pair, all written anew here from their definitions. Float32 on
both sides; results are compared before anything is timed.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import torch
from _harness import interleave, report, spread

from jaxcirc.components import Factored
from jaxcirc.metrics import METRICS, singular_values

SPECTRAL = ("effective_rank", "nuclear_norm", "stable_rank", "condition_number")
ROWS = {spec.name: spec for spec in METRICS}
RNG = np.random.default_rng(0)


def compare(case, theirs, ours, *, agree, repeats=5, **about):
    """Check that both give the same, then time them in turns."""
    a, b = np.asarray(theirs()), np.asarray(ours())
    error = float(np.abs(a / b - 1).max())
    assert error < agree, (case, error)
    seconds = interleave({"theirs": theirs, "ours": ours}, repeats=repeats, warmup=1)
    ratio = np.median(seconds["theirs"]) / np.median(seconds["ours"])
    report(
        f"metrics/{case}",
        ratio=round(float(ratio), 2),
        largest_difference=float(f"{error:.1e}"),
        theirs=spread(seconds["theirs"]),
        ours=spread(seconds["ours"]),
        **about,
    )


def four_metrics(s):
    """Effective rank, nuclear norm, stable rank and condition number, in torch."""
    p = s / s.sum()
    entropy = -(p * torch.log(p)).sum()
    return [
        float(torch.exp(entropy)),
        float(s.sum()),
        float((s**2).sum() / s[0] ** 2),
    ] + [float(s[0] / s[-1])]


@jax.jit
def ours_of_spectrum(x):
    def one(matrix):
        s = singular_values(matrix, method="auto")
        return jnp.stack([ROWS[name].of_spectrum(s) for name in SPECTRAL])

    return jax.lax.map(one, x)


def weights(kind):
    if kind == "well_conditioned":
        return RNG.normal(size=(12, 512, 2048)).astype(np.float32)
    # A spectrum that falls over four decades, as trained weights' may.
    left = np.linalg.qr(RNG.normal(size=(512, 512)))[0]
    right = np.linalg.qr(RNG.normal(size=(2048, 512)))[0]
    one = (left * np.geomspace(1, 1e-4, 512)) @ right.T
    return np.stack([one * (1 + i) for i in range(12)]).astype(np.float32)


def spectra(kind):
    x = weights(kind)
    tensors, arrays = [torch.from_numpy(m) for m in x], jnp.asarray(x)

    def theirs():
        return [four_metrics(torch.svd(m)[1]) for m in tensors]

    def ours():
        return jax.block_until_ready(ours_of_spectrum(arrays))

    smallest = singular_values(arrays[0], method="auto")[-1]
    exact = np.linalg.svd(x[0].astype(np.float64), compute_uv=False)[-1]
    compare(
        f"four spectral metrics of 12 × 512 × 2048, {kind}",
        theirs,
        ours,
        agree=2e-2,
        repeats=3,
        error_of_smallest=float(f"{abs(float(smallest) / exact - 1):.1e}"),
    )


def circuits():
    V = RNG.normal(size=(12, 768, 64)).astype(np.float32)
    O = RNG.normal(size=(12, 64, 768)).astype(np.float32)
    tv, to = torch.from_numpy(V), torch.from_numpy(O)
    circuit = Factored(jnp.asarray(V), jnp.asarray(O))
    spectrum = jax.jit(lambda c: c.singular_values("auto"))

    def theirs():
        return [
            torch.linalg.svdvals(v @ o)[:64].numpy()
            for v, o in zip(tv, to, strict=True)
        ]

    def ours():
        return jax.block_until_ready(spectrum(circuit))

    compare("spectra of 12 OV circuits, 768, d_head 64", theirs, ours, agree=1e-3)


def feature_space_cka(x, y):
    """Biased linear CKA as one writes it down, in NumPy."""
    x, y = x - x.mean(0), y - y.mean(0)
    norm = np.linalg.norm
    return norm(x.T @ y) ** 2 / (norm(x.T @ x) * norm(y.T @ y))


def similarities(n, p, layers, checkpoints, *, repeats):
    spec = ROWS["cka_biased"]
    target = RNG.normal(size=(layers, n, p)).astype(np.float32)
    noise = RNG.normal(size=(checkpoints, layers, n, p)).astype(np.float32)
    x = target[None] + noise
    prepare = jax.jit(functools.partial(jax.lax.map, spec.prepare))

    @jax.jit
    def against(x, prepared):
        pair = lambda args: spec.compare(spec.prepare(args[0]), args[1]).value
        return jax.lax.map(pair, (x, prepared))

    arrays, fixed = [jnp.asarray(one) for one in x], jnp.asarray(target)

    def theirs():
        return [
            [feature_space_cka(a, b) for a, b in zip(one, target, strict=True)]
            for one in x
        ]

    def ours():
        prepared = prepare(fixed)  # once for all checkpoints
        return jax.block_until_ready([against(one, prepared) for one in arrays])

    compare(
        f"CKA of {checkpoints} checkpoints × {layers} layers to one, {n} × {p}",
        theirs,
        ours,
        agree=1e-3,
        repeats=repeats,
    )


if __name__ == "__main__":
    spectra("well_conditioned")
    spectra("falling")
    circuits()
    similarities(2048, 512, 12, 10, repeats=3)
    similarities(256, 9216, 2, 3, repeats=3)
