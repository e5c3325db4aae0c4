"""What can go wrong with a training while it runs, said in a sentence."""

import warnings

import numpy as np

from ._architecture import AbstractArchitecture
from ._checks import require
from ._member import Record
from ._program import Plan, Seen

# After so much of the training it is seen whether a dictionary is sparse at all.
JUDGED_AT = 0.25
# A dictionary in which more than so many of all latents fire explains nothing.
FULL = 0.9


class TrainingFailed(RuntimeError):
    """A loss became NaN or infinite, or no dictionary is one; what was saved is kept.

    Args:
        message: What happened, to which dictionary, and what to do.
    """


class SparsityWarning(UserWarning):
    """Some of the dictionaries trained together have died or are not sparse."""


def require_sound(seen: Seen, plan: Plan, begun: int) -> None:
    """Stop a training that has no data, or whose numbers are not finite.

    Args:
        seen: Of the steps since `begun`.
        plan: What is trained.
        begun: The first of these steps.

    Raises:
        ValueError: the source has given too few activations, or one is not finite.
        TrainingFailed: a loss is not finite.
    """
    step = int(seen.step)
    require(
        not bool(seen.starved),
        f"the data ended after step {begun}: what `skip_first` and `ignore` leave of "
        "the positions is too little. Train for fewer steps, give more data, or raise "
        "`passes`.",
    )
    require(
        bool(seen.finite),
        f"activations between steps {begun} and {step} are NaN or infinite. Look for "
        "the model or the rows that give them; half precision overflows first.",
    )
    finite = np.isfinite(seen.records.loss[:, : step - begun])
    if not finite.all():
        member = int(np.argmin(finite.all(axis=1)))
        at = begun + int(np.argmin(finite[member]))
        raise TrainingFailed(
            f"saes.train: the loss of dictionary {member} of {plan.members} was not "
            f"finite at step {at}. Lower `learning_rate`, set `clip`, or raise "
            "`warmup`."
        )


def require_alive(
    history: Record, plan: Plan, config: AbstractArchitecture, begun: int, step: int
) -> None:
    """Stop a training in which no dictionary is sparse, once that can be seen.

    Args:
        history: Records so far, [member, step].
        plan: What is trained.
        config: The architecture.
        begun: The first step since the last look.
        step: Steps made.

    Raises:
        TrainingFailed: after a quarter of the training, in every dictionary no latent
            fires, or nearly all of them do. Where only some are so it is a warning.
    """
    at = int(JUDGED_AT * plan.training.steps)
    if not begun <= at < step:
        return
    l0 = history.l0[:, begun:step].mean(axis=1)
    failed = [_cause(float(mean), config.d_sae) for mean in l0]
    if all(cause is not None for cause in failed):
        raise TrainingFailed(f"saes.train: after step {at}, {failed[0]}")
    for member, cause in enumerate(failed):
        if cause is not None:
            warnings.warn(
                f"saes.train: dictionary {member} of {plan.members}: {cause}",
                SparsityWarning,
                stacklevel=4,
            )


def _cause(l0: float, d_sae: int) -> str | None:
    if l0 == 0:
        return (
            "no latent fires (L0 is 0): the penalty outweighs reconstruction, or the "
            "first steps were too large. Lower the sparsity coefficient or the "
            "learning rate, or set `target_l0`."
        )
    if l0 > FULL * d_sae:
        return (
            f"nearly every latent fires (L0 is {l0:.0f} of {d_sae}): the penalty is "
            "too weak to matter. Raise the sparsity coefficient, or set `target_l0`."
        )
    return None
