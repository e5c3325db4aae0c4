"""What a calibration proposes, and how well it suits each checkpoint."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from ._curvature import Curvature
from ._lengths import Lengths
from ._plateau import Plateau
from ._prediction import Prediction
from ._sampler import AbstractSampler
from ._sweep import Sweep


class Fit(NamedTuple):
    """How settings suit one checkpoint.

    Attributes:
        curvature: Spectrum and gradient noise, where its last pilot chain ended.
        predicted: What the settings give on a quadratic with that spectrum.
        plateau: Whether its estimates hold still around the settings; also not found
            where chains are too short for the slow directions, or for a verdict.
    """

    curvature: Curvature
    predicted: Prediction
    plateau: Plateau


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Calibration:
    """One setting for one checkpoint or a curve of them, and what bears it out.

    Attributes:
        sampler: The sampler with its step size, `n_beta` and `gamma`.
        lengths: How long its chains are, and what that is expected to give.
        fits: How that suits each checkpoint, by its step; 0 for a single model.
        grid: The estimates over checkpoints, step sizes and n_betas.
    """

    sampler: AbstractSampler
    lengths: Lengths
    fits: Mapping[int, Fit]
    grid: Sweep

    def __repr__(self) -> str:
        s, own, made = self.sampler, self.lengths, self.predicted
        settings = (
            f"{type(s).__name__}(step_size={s.step_size:.3g}, n_beta={s.n_beta:.4g}, "
            f"gamma={s.gamma:.3g}), {own.num_burnin:,} + {own.num_draws:,} × "
            f"{own.steps_between_draws} steps, {self.gradients:,} gradients a chain, "
            f"for an error of {own.expected_error:.1%}"
        )
        biases = (
            f"on the measured spectrum the step size adds {made.discretization:.1%}, "
            f"gamma takes {made.localization:.1%} and relaxation {made.shortfall:.1%}"
        )
        return f"{settings}; {biases}; {self._finding}"

    @property
    def _finding(self) -> str:
        if len(self.fits) == 1 or not self.misfits:
            return self.plateau.sentence
        first = self.fits[self.misfits[0]].plateau.sentence
        which = ", ".join(map(str, self.misfits))
        return (
            f"does not suit {len(self.misfits)} checkpoints ({which}), first: {first}"
        )

    @property
    def options(self) -> dict[str, int]:
        """The lengths, as arguments for `estimate` or `sweep`."""
        return {
            "num_burnin": self.lengths.num_burnin,
            "num_draws": self.lengths.num_draws,
            "steps_between_draws": self.lengths.steps_between_draws,
        }

    @property
    def gradients(self) -> int:
        """Evaluations of the gradient of one chain with these settings."""
        return self.lengths.num_steps * self.sampler.gradients_per_step

    @property
    def misfits(self) -> tuple[int, ...]:
        """Steps of the checkpoints at which there is no plateau."""
        return tuple(s for s, fit in self.fits.items() if not fit.plateau.found)

    @property
    def worst(self) -> Fit:
        """The first checkpoint without a plateau, or the first."""
        return self.fits[(*self.misfits, *self.fits)[0]]

    @property
    def plateau(self) -> Plateau:
        """Whether estimates hold still around the settings, at the `worst` fit."""
        return self.worst.plateau

    @property
    def predicted(self) -> Prediction:
        """What the settings give on a quadratic, at the `worst` fit."""
        return self.worst.predicted

    @property
    def predicted_bias(self) -> float:
        """Relative error from step size and noise that is predicted, in short."""
        return self.predicted.discretization

    @property
    def curvature(self) -> Curvature:
        """Spectrum and gradient noise, at the `worst` fit."""
        return self.worst.curvature
