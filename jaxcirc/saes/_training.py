"""How dictionaries are trained, as plain data."""

import math

import equinox as eqx
import optax

from ._checks import require

# The rate of published top-k dictionaries of 2^14 latents. Small ones want larger steps
# than a root of the width gives: with 1,024 latents of a byte-level model's stream and
# half a million activations, 8e-4 leaves 45% of them dead, and 3.2e-3 leaves 4%.
RATE, RATE_WIDTH, LARGEST_RATE = 2e-4, 2**14, 3e-3


class Training(eqx.Module):
    """Length, optimiser, buffer and axes of the training of dictionaries.

    The optimiser is Adam behind a limit of the gradient's norm. Its rate rises linearly
    over the first steps, stays, and falls linearly to 0 over the last ones.

    Args:
        steps: Updates to make.
        batch_size: Activations of an update.
        learning_rate: Peak rate; None for 2e-4 · 2^14 / d_sae, and at most 3e-3.
        warmup: Share of the steps over which the rate rises.
        decay: Share of the steps over which it falls to 0 in the end.
        b1: Decay of Adam's first moment.
        b2: Decay of its second one.
        clip: Largest norm of a dictionary's gradient; None for any.
        seeds: Dictionaries with random directions of their own, on the same batches in
            the same order.
        normalise: Multiply activations so that their mean norm is √d, as measured on
            the first filling of the buffer. The weights of the result take it back.
        centre: Begin with the mean activation as `b_dec`, from the same rows.
        target_l0: Move the coefficient of sparsity until so many latents fire in the
            mean; None to leave it. For architectures that have such a coefficient.
        resample_every: Steps after which latents that are dead get the directions of
            activations with a large error; None for never.
        buffer_batches: Batches that the buffer holds after a refill.
        served_share: Share of them that is served before the next refill. The rest
            mixes with what comes then.
        sequences: Sequences of one forward pass of the model.
        passes: How often data that have an end may be gone through.
        skip_first: Positions at the start of each sequence to leave out, such as 1 for
            a token of beginning.
        ignore: Token ids whose positions are left out, such as padding.
        precision: Of matrix products, as `jax.default_matmul_precision` names it, such
            as `bfloat16`; None for the device's own way.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> training = Training(steps=100, batch_size=64, buffer_batches=8)
        >>> training.served_batches, training.rate(2**12)
        (4, 0.0008)
    """

    steps: int = 10_000
    batch_size: int = 4096
    learning_rate: float | None = None
    warmup: float = 0.05
    decay: float = 0.2
    b1: float = 0.9
    b2: float = 0.999
    clip: float | None = 1.0
    seeds: int = 1
    normalise: bool = True
    centre: bool = True
    target_l0: float | None = None
    resample_every: int | None = None
    buffer_batches: int = 32
    served_share: float = 0.5
    sequences: int = 16
    passes: int = 1
    skip_first: int = 0
    ignore: tuple[int, ...] = ()
    precision: str | None = None

    def __check_init__(self):
        counts = ("steps", "batch_size", "seeds", "sequences", "passes")
        for name in (*counts, "buffer_batches"):
            number = getattr(self, name)
            require(number >= 1, f"`{name}` must be at least 1; got {number}.")
        for name in ("warmup", "decay"):
            share = getattr(self, name)
            require(0 <= share <= 1, f"`{name}` is a share of the steps; got {share}.")
        require(
            self.warmup + self.decay <= 1,
            f"`warmup` and `decay` are shares of the same steps; got {self.warmup} and "
            f"{self.decay}, more than 1 together.",
        )
        for name in ("b1", "b2"):
            number = getattr(self, name)
            require(0 <= number < 1, f"`{name}` must be in [0, 1); got {number}.")
        for name in ("learning_rate", "clip", "target_l0", "resample_every"):
            number = getattr(self, name)
            fine = number is None or 0 < number < math.inf
            require(fine, f"`{name}` must be positive, or None; got {number}.")
        require(
            0 < self.served_share <= 1,
            f"`served_share` must be in (0, 1]; got {self.served_share}.",
        )
        require(
            self.skip_first >= 0,
            f"`skip_first` must not be negative; got {self.skip_first}.",
        )

    @property
    def served_batches(self) -> int:
        """Batches that are served between two refills."""
        return max(int(self.buffer_batches * self.served_share), 1)

    @property
    def buffer_rows(self) -> int:
        """Activations that wait after a refill, at least."""
        return self.buffer_batches * self.batch_size

    def rate(self, d_sae: int) -> float:
        """The peak learning rate of dictionaries of a size.

        Args:
            d_sae: Number of latents.
        """
        if self.learning_rate is not None:
            return self.learning_rate
        return min(RATE * RATE_WIDTH / d_sae, LARGEST_RATE)

    def build_optimizer(self, d_sae: int) -> optax.GradientTransformation:
        """The optax transformation: the limit, if any, and then Adam.

        Args:
            d_sae: Number of latents.
        """
        peak = self.rate(d_sae)
        rise = max(round(self.warmup * self.steps), 1)
        fall = round(self.decay * self.steps)
        schedules = [
            # Not from 0, with which the first update would do nothing.
            optax.linear_schedule(peak / rise, peak, rise),
            optax.constant_schedule(peak),
        ]
        ends = [rise]
        if fall:
            schedules.append(optax.linear_schedule(peak, 0.0, fall))
            ends.append(max(self.steps - fall, rise))
        rate = optax.join_schedules(schedules, ends)
        adam = optax.adam(rate, b1=self.b1, b2=self.b2)
        if self.clip is None:
            return adam
        return optax.chain(optax.clip_by_global_norm(self.clip), adam)
