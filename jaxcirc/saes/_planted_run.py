"""Ground truth for tracking: planted features that come, go and turn at known steps."""

import itertools
from collections.abc import Mapping, Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from .._core import normal
from ._planted import Planted

# The last step of all, which no run reaches.
NEVER = np.iinfo(np.int32).max


class PlantedRun(eqx.Module):
    """A made-up training run of planted features.

    A feature is alive from the step at which it is born up to, and without, the step at
    which it dies. Every direction turns within a plane of its own, by `drift` radians
    for each doubling of 1 + step since the first one:

        d(step) = cos(θ) d + sin(θ) d',   θ = drift · log2((1 + step) / (1 + first))

    Frequencies, magnitudes and families stay as they are.

    Attributes:
        features: All features, as they are at the first step if all were alive.
        steps: Steps that have a checkpoint, ascending.
        born: The step from which each feature is alive.
        dies: The step from which it no longer is.
        turned: For each direction a unit vector at right angles, towards which it
            turns.
        drift: Radians for each doubling.
    """

    features: Planted
    steps: tuple[int, ...] = eqx.field(static=True)
    born: Int[Array, " feature"]
    dies: Int[Array, " feature"]
    turned: Float[Array, "feature d"]
    drift: Float[Array, ""]

    def at(self, step: int | Int[Array, ""]) -> Planted:
        """The features at a step.

        Args:
            step: Any step, also one without a checkpoint; an array is fine, so
                `jax.vmap(run.at)` stacks checkpoints.

        Example:
            >>> import jax.random as jr
            >>> from jaxcirc import saes
            >>> truth = saes.planted(6, 4, l0=1.0, key=jr.key(0))
            >>> run = saes.planted_run(truth, range(4), births={5: 2}, key=jr.key(1))
            >>> [int(run.at(step).alive.sum()) for step in run.steps]
            [5, 5, 6, 6]
        """
        now = jnp.asarray(step, jnp.int32)
        alive = (self.born <= now) & (now < self.dies)
        since = jnp.log2((1 + now).astype(jnp.float32) / (1 + self.steps[0]))
        angle = self.drift * since
        moved = jnp.cos(angle) * self.features.directions + jnp.sin(angle) * self.turned
        return eqx.tree_at(
            lambda f: (f.directions, f.alive), self.features, (moved, alive)
        )


def planted_run(
    features: Planted,
    steps: Sequence[int],
    *,
    births: Mapping[int, int] | None = None,
    deaths: Mapping[int, int] | None = None,
    drift: float = 0.0,
    key: Key[Array, ""],
) -> PlantedRun:
    """A training run in which planted features come, go and turn at known steps.

    Ground truth for whatever follows features over checkpoints. Train a dictionary on
    `run.at(step).sample(...)` at each of the steps, follow its latents, and compare the
    births and deaths that were found with the planted ones.

    Args:
        features: All features that there ever are.
        steps: Steps that have a checkpoint, ascending.
        births: Feature -> the step from which it is alive; all others are alive from
            the beginning.
        deaths: Feature -> the step from which it is not alive; all others stay.
        drift: By how much directions turn, in radians for each doubling of 1 + step.
        key: Random key of the planes in which they turn.

    Returns:
        The run: `at(step)` gives its features at a step.

    Raises:
        ValueError: steps do not ascend; a birth or a death is of no feature or outside
            the steps; or a feature dies before it is born.
    """
    steps = tuple(int(step) for step in steps)
    n = len(features.probability)
    births, deaths = dict(births or {}), dict(deaths or {})
    _check(steps, n, births, deaths)
    born, dies = np.full(n, steps[0]), np.full(n, NEVER)
    born[list(births)] = list(births.values())
    dies[list(deaths)] = list(deaths.values())
    if (born >= dies).any():
        which = np.flatnonzero(born >= dies).tolist()
        raise ValueError(f"planted_run: features {which} die before they are born.")
    other = normal(key, features.directions.shape, jnp.float32)
    # What is left at right angles to a direction of length 1.
    inside = (other * features.directions).sum(axis=1, keepdims=True)
    other = other - inside * features.directions
    return PlantedRun(
        features,
        steps,
        jnp.asarray(born, jnp.int32),
        jnp.asarray(dies, jnp.int32),
        other / jnp.linalg.norm(other, axis=1, keepdims=True),
        jnp.asarray(drift, jnp.float32),
    )


def _check(steps, n_features, births, deaths) -> None:
    """Refuse steps and features that there are not.

    Raises:
        ValueError: as `planted_run` says.
    """
    if not steps or any(a >= b for a, b in itertools.pairwise(steps)):
        raise ValueError(f"planted_run: `steps` must ascend; got {list(steps)}.")
    for name, events in (("births", births), ("deaths", deaths)):
        wrong = {
            feature: step
            for feature, step in events.items()
            if not 0 <= feature < n_features or not steps[0] <= step <= steps[-1]
        }
        if wrong:
            raise ValueError(
                f"planted_run: `{name}` are of features 0 to {n_features - 1} at steps "
                f"{steps[0]} to {steps[-1]}; got {wrong}."
            )
