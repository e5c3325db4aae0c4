"""An estimate with its error, its chains and a verdict on them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Num

from ._diagnostics import (
    bulk_ess,
    error_of_mean,
    geweke_z,
    split_rhat,
    standard_error,
    tail_ess,
)
from ._evidence import Evidence
from ._status import Status, Verdict
from ._verdict import chain_verdicts, verdict

if TYPE_CHECKING:
    import arviz


class LLCError(RuntimeError):
    """Chains did not give a usable estimate, and the caller asked for an error."""


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class LLCEstimate:
    """A local learning coefficient with all that is needed to judge it.

    Of the chains that did not diverge: λ̂ = n_beta (E[L(w)] - L(w*)) (Lau et al. 2023),
    dimensionless, between 0 and d/2 at a minimum. A draw is the mean over its
    `steps_between_draws` steps.

    Attributes:
        value: λ̂; NaN if every chain diverged.
        standard_error: Standard error of `value`, from the autocorrelation times of the
            draws and of the distance that they depend on, and the spread between
            chains; an error of sampling only, not of `step_size` or finite n.
        heating: What step size and minibatch noise have added to `value`, from the
            product of the drift with what the data ask for. For a stationary chain it
            is that of a quadratic; on w₁²w₂² 10 to 25% too large. 0 for one that tests
            its steps, and where it is not told from 0; NaN for one that cannot tell.
        drop: How far below w* a minimum lies, in units of the LLC, told by where the
            chains lie along the slope at w*: on a quadratic `value` is too low by as
            much. 0 where it is not told from 0.
        moved: Share of the sampled weights that are not where they began, in the chain
            where it is least.
        per_chain: λ̂ of each chain; NaN where it diverged.
        n_beta: Inverse temperature times number of examples that was sampled at.
        dimension: Sampled coordinates.
        initial_loss: L(w*): over all the data, or over the examples of the draws.
        trace: Draws of n_beta (L_B(w) - L_B(w*)).
        loss: Mean minibatch loss of each draw.
        burnin: The trace during burn-in, which enters no number here.
        rhat: Rank-normalised split R-hat.
        ess: Bulk effective sample size.
        tail_ess: Effective sample size of the 5% and 95% quantiles, the smaller.
        geweke: Geweke's z of each chain.
        acceptance: Mean acceptance of each chain, of the sampler's own test or of the
            one that was asked for; 1 where there is none.
        gradient_norm: Length of the moves that the data asked for, by draw.
        localization_norm: Length of the pull towards w*, by draw.
        noise_norm: Length of the random moves, by draw.
        distance: From w*, by draw.
        below_initial: Share of draws with a loss below that of w*.
        variance_reduction: How many times smaller the variance of a draw is for having
            its initial loss on the same examples; 1 if that changes nothing.
        status: Whether the number may be used.
        sentence: The reason, and what to do where it may not.
        chain_verdicts: Status and sentence of each chain by itself.
        observed: Observables at each draw.
        observed_at_center: Observables at w*.
        gradients: Gradient evaluations of all chains.
    """

    value: float
    standard_error: float
    heating: float
    drop: float
    moved: float
    per_chain: Float[np.ndarray, " chain"]
    n_beta: float
    dimension: int
    initial_loss: float
    trace: Float[np.ndarray, "chain draw"]
    loss: Float[np.ndarray, "chain draw"]
    burnin: Float[np.ndarray, "chain block"]
    rhat: float
    ess: float
    tail_ess: float
    geweke: Float[np.ndarray, " chain"]
    acceptance: Float[np.ndarray, " chain"]
    gradient_norm: Float[np.ndarray, "chain draw"]
    localization_norm: Float[np.ndarray, "chain draw"]
    noise_norm: Float[np.ndarray, "chain draw"]
    distance: Float[np.ndarray, "chain draw"]
    below_initial: float
    variance_reduction: float
    status: Status
    sentence: str
    chain_verdicts: Sequence[Verdict]
    observed: Mapping[str, Num[np.ndarray, "chain draw ..."]]
    observed_at_center: Mapping[str, Num[np.ndarray, "..."]]
    gradients: int

    def __repr__(self) -> str:
        # Of the size of the error it is part of what a reader must know.
        heated = self.heating > 0.5 * self.standard_error
        heat = f", heated by {self.heating:.2g}" if heated else ""
        return (
            f"LLC {self.value:.4g} ± {self.standard_error:.2g}{heat}, {self.status}: "
            f"{self.sentence}"
        )

    @property
    def corrected(self) -> float:
        """`value` less `heating`, and with the `drop` that it is too low by.

        Exact on a quadratic, at every stable step size and wherever w* is. An unknown
        heating is left in.
        """
        return self.value - float(np.nan_to_num(self.heating)) + self.drop

    @property
    def num_diverged(self) -> int:
        """Number of chains that diverged, which `value` leaves out."""
        return sum(v.status is Status.DIVERGED for v in self.chain_verdicts)

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """Where λ at this `n_beta` and `gamma` is; with 95% probability by default.

        Around `corrected`; the errors of `heating` and of `drop` are taken for a third
        of each. An unknown heating counts as none.

        Args:
            z: Half the width, in standard errors.
        """
        heating = float(np.nan_to_num(self.heating))
        error = np.linalg.norm([self.standard_error, heating / 3, self.drop / 3])
        return float(self.corrected - z * error), float(self.corrected + z * error)

    def refined(self, name: str) -> tuple[float, float]:
        """The LLC with another loss, and its standard error (Wang et al. 2024).

        n_beta (E[L'(w)] - L'(w*)) over the draws of this estimate, L' being an
        observable: a data-refined LLC where that is the mean loss of another data set.
        The draws are those of the first loss, so it may be negative. NaN where every
        chain diverged.

        Args:
            name: An observable with one number per draw, or one per example.

        Returns:
            The coefficient, and its standard error.

        Raises:
            ValueError: there is no such observable.
        """
        draws = self.observable(name).reshape(*self.trace.shape, -1).mean(axis=-1)
        at = float(np.mean(self.observed_at_center[name]))
        excess = self.n_beta * (draws - at)
        excess = excess[np.isfinite(excess).all(axis=1)]
        if not len(excess):
            return float("nan"), float("nan")
        return float(excess.mean()), standard_error(excess)

    def observable(self, name: str) -> Num[np.ndarray, "chain draw ..."]:
        """The values of an observable at every draw.

        Args:
            name: What the observable was called in `observables`.

        Raises:
            ValueError: there is no such observable.
        """
        if name not in self.observed:
            raise ValueError(
                f"LLCEstimate: no observable {name!r} was recorded; there are: "
                f"{', '.join(self.observed) or 'none'}."
            )
        return self.observed[name]

    def to_arviz(self) -> "arviz.InferenceData":
        """The chains for ArviZ: posterior `llc`, and the norms as sample statistics.

        Raises:
            ImportError: ArviZ is not installed; it is in the extra `arviz`.
        """
        try:
            import arviz
        except ImportError as error:
            raise ImportError(
                "LLCEstimate.to_arviz needs ArviZ: pip install 'jaxcirc[arviz]'."
            ) from error
        stats = ("loss", "gradient_norm", "localization_norm", "noise_norm", "distance")
        posterior = {"llc": self.trace} | {
            name: values for name, values in self.observed.items()
        }
        return arviz.from_dict(
            posterior=posterior, sample_stats={s: getattr(self, s) for s in stats}
        )


def require_converged(estimates: np.ndarray) -> None:
    """Refuse estimates whose chains did not give a number that may be used.

    Raises:
        LLCError: one is not `converged`; the message has the first of them.
    """
    bad = [e for e in estimates.flat if e.status is not Status.CONVERGED]
    if bad:
        raise LLCError(
            f"llc: {len(bad)} of {estimates.size} estimates are not converged; the "
            f"first: {bad[0]}"
        )


# What a diverged chain leaves behind may overflow, and is set aside below.
@np.errstate(over="ignore", invalid="ignore")
def summarize(
    trace: Any,
    *,
    n_beta: float,
    dimension: int,
    num_draws: int,
    initial_loss: float | None,
    trivial_loss: float | None,
    observed_at_center: Mapping[str, np.ndarray],
    gradients: int,
    steps_between_draws: int = 1,
    tests: bool = False,
    adapts: bool = False,
) -> LLCEstimate:
    """The estimate that the traces of some chains give.

    Args:
        trace: A `Trace` of NumPy arrays with a leading `chain` axis.
        n_beta: Inverse temperature times number of examples that was sampled at.
        dimension: Sampled coordinates.
        num_draws: Blocks that are draws; those before are burn-in.
        initial_loss: L(w*), or None for that of the examples of the draws.
        trivial_loss: Loss of a model that knows nothing, or None.
        observed_at_center: Observables at w*.
        gradients: Gradient evaluations of all chains.
        steps_between_draws: Steps of each draw.
        tests: Whether the sampler tests its steps.
        adapts: Whether it is another sampler during burn-in.
    """

    def part(values: Any) -> np.ndarray:
        return np.asarray(values)[:, -num_draws:]

    excess = np.asarray(trace.excess, np.float64)
    loss = np.asarray(trace.loss, np.float64)[:, -num_draws:]
    burnin, draws = n_beta * excess[:, :-num_draws], n_beta * excess[:, -num_draws:]
    # A chain that diverged in burn-in is finite never after, but say so if it were.
    good = np.asarray(np.isfinite(draws).all(axis=1) & np.isfinite(burnin).all(axis=1))
    draws = np.where(good[:, None] | ~np.isfinite(draws), draws, np.nan)
    kept = draws[good]
    heating = _heating(np.asarray(trace.heating, np.float64)[:, -num_draws:])
    moved = np.asarray(trace.moved, np.float64)[:, -1]
    distance, slope = part(trace.distance), part(trace.slope)
    acceptance = part(trace.acceptance)
    evidence = Evidence(
        draws,
        burnin[:, :0] if adapts else burnin,
        loss.mean(axis=1),
        distance,
        slope,
        acceptance if tests else None,
        steps_between_draws,
        dimension,
        trivial_loss,
        heating,
        moved,
    )
    chains = chain_verdicts(evidence)
    whole = verdict(evidence)
    drop = evidence.kept(good).told_drop if good.any() else np.nan
    geweke = np.full(len(draws), np.nan)
    if good.any():
        geweke[good] = geweke_z(kept)
    if initial_loss is None:
        # The sampled loss less its excess is the loss of the same examples at w*.
        initial_loss = (
            float((loss - draws / n_beta)[good].mean()) if good.any() else np.nan
        )
    none = float("nan")

    return LLCEstimate(
        value=float(kept.mean()) if good.any() else none,
        standard_error=error_of_mean(kept, distance[good]) if good.any() else none,
        heating=float(heating[good].mean()) if good.any() else none,
        drop=drop,
        moved=float(moved[good].min()) if good.any() else none,
        per_chain=np.where(good, draws.mean(axis=1), np.nan),
        n_beta=n_beta,
        dimension=dimension,
        initial_loss=initial_loss,
        trace=draws,
        loss=loss,
        burnin=burnin,
        rhat=split_rhat(kept) if good.any() else none,
        ess=bulk_ess(kept) if good.any() else none,
        tail_ess=tail_ess(kept) if good.any() else none,
        geweke=geweke,
        acceptance=acceptance.mean(axis=1),
        gradient_norm=part(trace.gradient_norm),
        localization_norm=part(trace.localization_norm),
        noise_norm=part(trace.noise_norm),
        distance=distance,
        below_initial=float((kept < 0).mean()) if good.any() else none,
        variance_reduction=_variance_reduction(loss[good], kept / n_beta),
        status=whole.status,
        sentence=whole.sentence,
        chain_verdicts=chains,
        observed={name: part(values) for name, values in trace.observed.items()},
        observed_at_center=observed_at_center,
        gradients=gradients,
    )


def _heating(draws: Float[np.ndarray, "chain draw"]) -> Float[np.ndarray, " chain"]:
    """The heating of each chain; 0 for all where it is not told from 0.

    The drift of Langevin samplers tells it closely, kinetic energy with much noise.
    """
    mean = draws.mean(axis=1)
    good = np.isfinite(draws).all(axis=1)
    told = good.any() and draws[good].mean() > 2 * standard_error(draws[good])
    return mean if told or np.isnan(mean).all() else np.where(good, 0.0, mean)


def _variance_reduction(loss: np.ndarray, excess: np.ndarray) -> float:
    if loss.size == 0 or excess.var() == 0:
        return float("nan")
    # The mean of chains is not what pairing changes, so it is taken out.
    centered = [x - x.mean(axis=1, keepdims=True) for x in (loss, excess)]
    return float(centered[0].var() / centered[1].var())
