"""How to train, as plain data."""

import math
from typing import Literal

import equinox as eqx
import optax

from ..adapters import LoRA
from ..checkpoints import schedule

MAX_SEED = 2**31 - 1
# The loss of every update is kept in one array, and counted in 32 bits.
MAX_STEPS = 2**31 - 1


class Training(eqx.Module):
    """Optimiser, length, seeds and checkpoints of a training run.

    Args:
        steps: Updates to make.
        batch_size: Examples per update, drawn at random; None for the whole train split
            at every step, where the task's domain is finite.
        optimizer: `adamw`, `adam` or `sgd`.
        learning_rate: Peak learning rate.
        warmup: Updates over which it rises linearly to the peak.
        decay: How it falls after that: `constant` not at all, `linear` and `cosine` to
            0 at the last step.
        weight_decay: Decoupled weight decay on every weight; `adamw` only.
        b1: Decay of the first moment; momentum for `sgd`.
        b2: Decay of the second moment.
        clip: Largest global norm of the gradient; None for any.
        freeze: Paths of parameters to keep as they are, such as `W_E` or
            `blocks.attn.*`.
        lora: Train a low-rank adapter and keep all weights of the model as they are;
            checkpoints are of the adapted model. None trains the weights.
        seed: First seed.
        seeds: Models to train at once, with seeds `seed`, `seed` + 1, …
        checkpoints: Named schedule; step 0 and the last are always kept.
        every: Interval of that schedule's regular part.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> Training(steps=100, checkpoints="linear", every=40).checkpoint_steps
        (0, 40, 80, 100)
    """

    steps: int = 1000
    batch_size: int | None = 64
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    warmup: int = 0
    decay: Literal["constant", "linear", "cosine"] = "constant"
    weight_decay: float = 0.0
    b1: float = 0.9
    b2: float = 0.999
    clip: float | None = None
    freeze: tuple[str, ...] = ()
    lora: LoRA | None = None
    seed: int = 0
    seeds: int = 1
    checkpoints: Literal["all", "linear", "exponential", "exponential_plus_detail"] = (
        "all"
    )
    every: int = 1000

    def __check_init__(self):
        for name in ("steps", "seeds", "every"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"training: `{name}` must be at least 1; got {getattr(self, name)}."
                )
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(
                f"training: `batch_size` must be at least 1, or null for the whole "
                f"train split; got {self.batch_size}."
            )
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(
                f"training: `learning_rate` must be positive; got {self.learning_rate}."
            )
        for name in ("b1", "b2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"training: `{name}` must be in [0, 1); got {getattr(self, name)}."
                )
        if self.clip is not None and not 0 < self.clip < math.inf:
            raise ValueError(
                f"training: `clip` must be positive, or null for no limit; got "
                f"{self.clip}."
            )
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(
                f"training: `weight_decay` must be at least 0; got {self.weight_decay}."
            )
        if self.lora is not None and self.freeze:
            raise ValueError(
                "training: `lora` trains its factors alone, so `freeze` has nothing to "
                "keep. Leave it out, and choose weights by `lora.over`."
            )
        if self.seed < 0 or self.seed + self.seeds - 1 > MAX_SEED:
            # Beyond it numbers wrap around, and would be other seeds than they say.
            raise ValueError(
                f"training: seeds must be from 0 to {MAX_SEED:,}; got `seed` = "
                f"{self.seed} with `seeds` = {self.seeds}."
            )
        if self.steps > MAX_STEPS:
            raise ValueError(
                f"training: `steps` must be at most {MAX_STEPS:,}; got {self.steps:,}."
            )
        if not 0 <= self.warmup < self.steps:
            raise ValueError(
                f"training: `warmup` must be in [0, steps); got {self.warmup} with "
                f"`steps` = {self.steps}."
            )
        if self.weight_decay and self.optimizer != "adamw":
            raise ValueError(
                f"training: `weight_decay` is for `adamw`; `{self.optimizer}` would "
                "ignore it."
            )

    @property
    def checkpoint_steps(self) -> tuple[int, ...]:
        """The steps whose model is kept: 0, those of the schedule, and the last."""
        steps = schedule(self.checkpoints, self.steps, every=self.every)
        return tuple(sorted({0, *steps}))

    def build_optimizer(self) -> optax.GradientTransformation:
        """The optax transformation: clipping, if any, and then the optimiser."""
        rate = _learning_rate(self)
        if self.optimizer == "sgd":
            # With a momentum of 0 optax would still keep an array for every weight.
            chain = optax.sgd(rate, momentum=self.b1 or None)
        elif self.optimizer == "adam":
            chain = optax.adam(rate, b1=self.b1, b2=self.b2)
        else:
            chain = optax.adamw(
                rate, b1=self.b1, b2=self.b2, weight_decay=self.weight_decay
            )
        if self.clip is None:
            return chain
        # First, so that the moments are those of clipped gradients.
        return optax.chain(optax.clip_by_global_norm(self.clip), chain)


def _learning_rate(training: Training) -> optax.Schedule:
    peak, rest = training.learning_rate, training.steps - training.warmup
    after = {
        "constant": lambda: optax.constant_schedule(peak),
        "linear": lambda: optax.linear_schedule(peak, 0.0, rest),
        "cosine": lambda: optax.cosine_decay_schedule(peak, rest),
    }[training.decay]()
    if not training.warmup:
        return after
    # Not from 0, with which the first update would do nothing.
    rise = optax.linear_schedule(peak / training.warmup, peak, training.warmup)
    return optax.join_schedules([rise, after], [training.warmup])
