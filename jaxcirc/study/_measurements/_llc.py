"""The local learning coefficient of every checkpoint, with all that judges it."""

import dataclasses

import numpy as np
from jaxtyping import Array, Key

from ...llc import LLCEstimate, Status
from ...models import TransformerConfig
from ...tasks import AbstractTask
from ._measurement import Chunk, MeasurementSpec, PerChunk
from ._quantity import Outcome, Quantity, Role
from ._sampling import TINY, Sampling, sampled

STATUSES = tuple(str(status) for status in Status)
# Draws of each chain that are kept to look at.
MAX_TRACE = 200


class LocalLearningCoefficient(PerChunk):
    """The LLC of a mean objective, such as cross-entropy, on train examples.

    With cross-entropy, chains are local where their loss stays below that of uniform
    guesses. The same keys
    are used at every checkpoint, so errors of neighbours are alike.
    """

    sampling: Sampling

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse what sampling would refuse, before any training.

        Raises:
            ValueError: a number does not fit the models or the task.
        """
        self.sampling.check(config, task)

    def __call__(
        self, chunk: Chunk, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Numbers per model; `per_chain` with a `chain` axis, `trace` also `draw`."""
        return self.measured(self.sampling.run(chunk.models, task, key))

    def measured(self, found: np.ndarray) -> Outcome:
        """Estimates as quantities, whose first axes are those of the estimates.

        Args:
            found: An object array of `LLCEstimate`.
        """
        # Averaged and not skipped, so that a trace keeps its mean, which is the
        # estimate.
        thin = max(1, -(-self.sampling.num_draws // MAX_TRACE))

        def each(of, dims=(), units="", meaning="", role: Role = "diagnostic"):
            flat = np.stack([np.asarray(of(e), np.float32) for e in found.flat])
            values = flat.reshape(*found.shape, *flat.shape[1:])
            return Quantity(values, dims, units, meaning, role=role)

        units = self.sampling.objective.units
        status = each(lambda e: STATUSES.index(e.status), meaning="of the estimate")
        quantities = {
            "llc": each(
                lambda e: e.value, meaning="local learning coefficient", role="series"
            ),
            "standard_error": each(
                lambda e: e.standard_error, meaning="of llc, from autocorrelation"
            ),
            "heating": each(
                lambda e: e.heating,
                meaning="what step size and minibatch noise have added to llc",
            ),
            "status": dataclasses.replace(status, codes=STATUSES),
            "rhat": each(lambda e: e.rhat, meaning="rank-normalised split R-hat"),
            "ess": each(lambda e: e.ess, (), "draws", "bulk effective sample size"),
            "initial_loss": each(lambda e: e.initial_loss, (), units, "loss at w*"),
            "sampled_loss": each(lambda e: np.nanmean(e.loss), (), units, "of draws"),
            "n_beta": each(lambda e: e.n_beta, meaning="inverse temperature × n"),
            "distance": each(lambda e: e.distance.mean(), meaning="of draws from w*"),
            "per_chain": each(
                lambda e: e.per_chain, ("chain",), meaning="llc by chain"
            ),
            "trace": each(
                lambda e: _thinned(e, thin),
                ("chain", "draw"),
                meaning="n_beta (L(w) - L(w*)) of draws, thinned by averaging",
                role="detail",
            ),
        }
        return Outcome(quantities)


def _thinned(estimate: LLCEstimate, thin: int) -> np.ndarray:
    """A trace in fewer points, each the mean of some neighbours."""
    chains, draws = estimate.trace.shape
    whole = estimate.trace[:, : draws // thin * thin]
    return whole.reshape(chains, -1, thin).mean(axis=-1)


SPEC = MeasurementSpec(
    name="llc",
    summary="local learning coefficient with error bars and a status",
    build=sampled(LocalLearningCoefficient),
    tiny=TINY,
)
