"""Does the coefficient hold still over step sizes and temperatures?"""

import functools

import equinox as eqx
import numpy as np
from jaxtyping import Array, Key

from ...llc import Status, find_plateau
from ...models import TransformerConfig
from ...tasks import AbstractTask
from ._llc import STATUSES
from ._measurement import Chunk, MeasurementSpec, PerChunk
from ._quantity import Outcome, Quantity
from ._sampling import Sampling, sampling

_LOCAL = (Status.CONVERGED, Status.TRANSIENT)


class LLCGrid(PerChunk):
    """LLCs over step sizes × n_betas, and the plateau among them if there is one."""

    sampling: Sampling
    step_sizes: tuple[float, ...] = eqx.field(static=True)
    n_betas: tuple[float, ...] = eqx.field(static=True)

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse what sampling would refuse, before any training.

        Raises:
            ValueError: a number does not fit the models or the task.
        """
        self.sampling.check(config, task)

    def __call__(
        self, chunk: Chunk, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Estimates with axes `step_size` and `n_beta`, and a slope for each model."""
        grid = {"step_size": self.step_sizes, "n_beta": self.n_betas}
        found = self.sampling.run(chunk.models, task, key, grid=grid)

        def each(of) -> np.ndarray:
            flat = [np.float64(of(e)) for e in found.flat]
            return np.array(flat).reshape(found.shape)

        values, errors = each(lambda e: e.value), each(lambda e: e.standard_error)
        local = each(lambda e: e.status in _LOCAL).astype(bool)
        lead, dims = found.shape[:2], tuple(grid)
        # A plateau is looked for in the grid of each checkpoint and seed.
        one_by_one = lambda x: x.reshape(-1, *x.shape[2:])
        plateaus = [
            find_plateau(v, *grid.values(), usable=u, standard_errors=s)
            for v, u, s in zip(*map(one_by_one, (values, local, errors)), strict=True)
        ]

        def of_plateau(of) -> np.ndarray:
            flat = np.stack([np.asarray(of(p)) for p in plateaus])
            return flat.reshape(*lead, *flat.shape[1:])

        units = self.sampling.objective.units
        diagnostic = functools.partial(Quantity, role="diagnostic")
        quantities = {
            "llc": Quantity(values, dims, "", "local learning coefficient"),
            "standard_error": diagnostic(errors, dims, "", "of llc"),
            "status": diagnostic(
                each(lambda e: STATUSES.index(e.status)),
                dims,
                "",
                "of the estimate",
                codes=STATUSES,
            ),
            "sampled_loss": diagnostic(
                each(lambda e: np.nanmean(e.loss)), dims, units, "of draws"
            ),
            "inside": diagnostic(
                of_plateau(lambda p: p.inside).astype(np.float32),
                dims,
                "",
                "1 where llc holds still among its neighbours, else 0",
            ),
            "beta_slope": diagnostic(
                of_plateau(lambda p: p.beta_slope),
                (),
                "",
                "d ln llc / d ln n_beta; 0 on a plateau, 1 if the loss is not felt",
            ),
        }
        return Outcome(quantities)

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Step sizes and n_betas as text."""
        del config, task, key
        return {
            "step_size": [f"{x:.3g}" for x in self.step_sizes],
            "n_beta": [f"{x:.4g}" for x in self.n_betas],
        }


def llc_grid(
    step_sizes: tuple[float, ...] = (1e-5, 3e-5, 1e-4),
    n_betas: tuple[float, ...] = (30.0, 100.0, 300.0),
    sampler: str = "sgld",
    gamma: float = 300.0,
    batch_size: int | None = 256,
    num_chains: int = 2,
    num_draws: int = 100,
    num_burnin: int = 600,
    steps_between_draws: int = 4,
    n_examples: int = 4096,
    objective: str = "cross_entropy",
) -> LLCGrid:
    """The calibration grid: LLCs over step sizes × n_betas.

    Args:
        step_sizes: Ascending.
        n_betas: Ascending.
        sampler: As in `llc`.
        gamma: Strength of the localisation.
        batch_size: Examples per step; null for all.
        num_chains: Chains at every setting.
        num_draws: Draws of each.
        num_burnin: Steps before the first.
        steps_between_draws: Steps to a draw.
        n_examples: Train examples that make up the loss, at most.
        objective: As in `llc`.

    Raises:
        ValueError: an axis has no two positive, ascending values.
    """
    for name, labels in (("step_sizes", step_sizes), ("n_betas", n_betas)):
        ascending = all(a < b for a, b in zip(labels, labels[1:], strict=False))
        if len(labels) < 2 or not ascending or labels[0] <= 0:
            raise ValueError(
                f"llc_grid: `{name}` needs at least two positive, ascending values; "
                f"got {list(labels)}."
            )
    how = sampling(
        sampler,
        step_sizes[0],
        n_betas[0],
        gamma,
        batch_size,
        num_chains,
        num_draws,
        num_burnin,
        steps_between_draws,
        n_examples,
        objective=objective,
    )
    return LLCGrid(how, tuple(step_sizes), tuple(n_betas))


SPEC = MeasurementSpec(
    name="llc_grid",
    summary="LLCs over step sizes and temperatures: is there a plateau?",
    build=llc_grid,
    tiny={
        # Noise enough that the loss rises around a model that has learnt nothing.
        "step_sizes": (0.01, 0.03),
        "n_betas": (1.0, 2.0),
        "gamma": 1.0,
        "batch_size": 4,
        "num_draws": 8,
        "num_burnin": 4,
        "n_examples": 8,
    },
)
