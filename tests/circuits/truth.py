"""What patching is compared with: an objective without answers, a rank statistic."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcirc.models import Transformer
from jaxcirc.tasks import Pairs
from tracr_bridge.rasp import CompiledModel


class Agreement(eqx.Module):
    """How far a run says at all positions behind BOS what the clean run says.

    The product of its outputs with the clean run's: linear, so its gradient at the
    clean run is not zero, as that of a distance from the clean run would be.
    """

    model: Transformer

    def __call__(self, run, pairs: Pairs) -> Float[Array, " example"]:
        clean = jax.lax.stop_gradient(self.model(pairs.clean))
        return (run(pairs.clean) * clean)[:, 1:].sum(axis=(1, 2))


def random_pairs(compiled: CompiledModel, n: int, *, seed: int = 0) -> Pairs:
    """Random sequences of a program, and others that have nothing to do with them.

    Answers are made up: the objective looks at outputs as they are.
    """
    own = compiled.encode([compiled.bos, *compiled.inputs])[1:]
    draw = np.random.default_rng(seed).integers(
        len(own), size=(2, n, compiled.max_seq_len)
    )
    bos = np.full((2, n, 1), compiled.encode([compiled.bos])[0])
    clean, corrupted = jnp.asarray(np.concatenate([bos, own[draw]], axis=2), jnp.int32)
    end = jnp.full(n, compiled.max_seq_len, jnp.int32)
    zero = jnp.zeros((n, 1), jnp.int32)
    return Pairs(clean, corrupted, zero, zero + 1, {"end": end})


def largest(scores) -> np.ndarray:
    """The largest size of each edge's score in any example.

    Effects of two examples may cancel each other in a mean, and the edge is no less
    part of what is computed.
    """
    return np.abs(np.asarray(scores.values)).max(axis=0)


def has_effect(exact: np.ndarray) -> np.ndarray:
    """Which edges have an effect that is more than the rounding of the largest."""
    return exact > 100 * np.finfo(np.float32).eps * exact.max()


def auroc(score: np.ndarray, true: np.ndarray) -> float:
    """How often a true edge is above one that is not; half where they are equal."""
    above = score[true][:, None] - score[~true]
    return float(((above > 0) + 0.5 * (above == 0)).mean())
