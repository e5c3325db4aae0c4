"""The finetune of `shared/data/induction_finetune`, and what is measured of it."""

import os
import pathlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import tracr_bridge as tb
from jaxcirc import taylor
from jaxcirc.objectives import CrossEntropy
from jaxcirc.tasks import Induction

DATA = pathlib.Path(
    os.environ.get(
        "JAXCIRC_SHARED_DATA", pathlib.Path(__file__).parents[2].parent / "shared/data"
    )
)
MODELS = DATA / "induction_finetune/models.npz"
STEPS = (0, 100, 200, 400)


def load():
    """The models by step in float64, and 64 sequences of the task."""
    names = {step: f"finetuned_model_{step}" for step in STEPS}
    # Attention alone: nothing in the files says that they have no norms.
    cfg = {"normalization_type": None}
    trajectory = tb.trajectory(str(MODELS), steps=names, cfg=cfg)

    def wide(x):
        return x.astype(jnp.float64) if eqx.is_inexact_array(x) else x

    models = {s: jax.tree.map(wide, m) for s, m in trajectory.stream()}
    return models, Induction(26, 8, 2, 6, bos=False).sample(64, key=jr.key(0))


def measured(models, batch):
    """All numbers, by what they are of."""
    base = models[0]
    loss = lambda model: CrossEntropy().mean(model, batch)
    found: dict[str, Any] = {
        f"step {s}": at_step(base, models[s], batch, loss) for s in STEPS[1:]
    }
    # More sequences for shares of the loss, which are noisier than logits.
    more = Induction(26, 8, 2, 6, bos=False).sample(256, key=jr.key(0))
    each = lambda model: CrossEntropy().mean(model, more)
    nodes = {n: taylor.attribute(each, base, models[100], nodes=n) for n in (1, 4, 16)}
    found["nodes"] = {str(n): float(one.values.sum()) for n, one in nodes.items()}
    found["residual"] = float(nodes[16].residual)
    found["path"] = nodes[16].total()
    found["first"] = taylor.attribute(each, base, models[100], order=1).total()
    between = [models[s] for s in STEPS[1:-1]]
    way = taylor.attribute(each, base, models[400], through=between)
    found["through"] = way.total()
    found["chord"] = taylor.attribute(each, base, models[400]).total()
    frozen = taylor.freeze(base, batch.tokens)
    series = taylor.along(base, models[100], batch.tokens, order=8, edits=frozen)
    exact = models[100](batch.tokens, edits=frozen)
    found["frozen"] = taylor.accuracy(series, exact).relative_error.tolist()
    found["frozen status"] = series.status()
    pieces = taylor.recentre(base, models[100], batch.tokens, segments=8)
    found["pieces"] = pieces.relative_error.max(axis=0).tolist()
    return found


def at_step(base, tuned, batch, loss):
    """What the change to one checkpoint is like."""
    series = taylor.along(base, tuned, batch.tokens, order=6)
    given = {"targets": batch.targets, "mask": batch.mask}
    accuracy = taylor.accuracy(series, tuned(batch.tokens), **given)
    parts = taylor.decompose(base, tuned, batch.tokens)
    of = lambda logits: loss(lambda _: logits)
    losses = (parts.base, parts.tuned, parts.ov, parts.qk)
    return {
        "errors": accuracy.relative_error.tolist(),
        "losses": np.stack([of(logits) for logits in losses]).tolist(),
        "sizes": parts.sizes().tolist(),
        "radius": [series.truncate(k).radius() for k in (4, 5, 6)],
        "status": [series.truncate(k).status() for k in (4, 6)],
        "barrier": float(taylor.barrier(loss, base, tuned).barrier),
    }
