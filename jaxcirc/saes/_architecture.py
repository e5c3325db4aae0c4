"""What every architecture has: a dictionary to begin with, and a loss."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from .._core import fold_name, ratio
from ._dictionary import Dictionary
from ._nonlinearity import AbstractNonlinearity
from ._state import State

# A plain number outside of a compiled program, an array inside or in a stack.
Number = float | Array
# Tokens of silence: a thousand steps of 4,096, as is usual.
DEAD_AFTER = 4e6


class Terms(NamedTuple):
    """The parts of a loss, which is the sum of the first three, and what goes on.

    Args:
        reconstruction: Squared error, summed over the output, mean over the batch.
        sparsity: What is paid for latents, with its coefficient.
        auxiliary: What else is paid, with its coefficient: aux-k, gates, dead latents.
        l0: Latents above 0, mean over the batch.
        fvu: Squared error over that of the batch's own mean.
        dead: Share of the latents that count as dead.
        state: The state for the next step.
    """

    reconstruction: Float[Array, ""]
    sparsity: Float[Array, ""]
    auxiliary: Float[Array, ""]
    l0: Float[Array, ""]
    fvu: Float[Array, ""]
    dead: Float[Array, ""]
    state: State


class Run(NamedTuple):
    """A batch on its way through a dictionary.

    Args:
        x: Activations.
        pre: Pre-activations of the latents, scaled if the dictionary scales.
        f: Latents.
        error: What the output lacks of the target.
        dead: Which latents count as dead.
        progress: Share of the training that is done.
    """

    x: Float[Array, "batch ..."]
    pre: Float[Array, "batch d_sae"]
    f: Float[Array, "batch d_sae"]
    error: Float[Array, "batch ..."]
    dead: Bool[Array, " d_sae"]
    progress: Float[Array, ""]


class AbstractArchitecture(eqx.Module):
    """A kind of dictionary: its sizes, its coefficients, and how they are trained.

    Sizes are fixed when a program is compiled. Coefficients, such as k, are leaves:
    plain numbers, or arrays, so that `saes.stack_configs` can put architectures of
    different coefficients into one stack and one compiled program can train all of
    them.

    Reductions are the same everywhere: errors are summed over the output's axes,
    penalties over latents, and both are means over the batch.

    Attributes:
        d_in: Width of the activations.
        d_sae: Number of latents.
        d_out: Width of the target, for transcoders; None for `d_in`.
        skip: Whether a linear map leads from input to output beside the latents.
        sites: Number of sites that share the latents, for crosscoders; None for one
            site without an axis of its own.
        decoder_norm: Length of each decoder row (at each site) to begin with.
        dead_after: Tokens of silence after which a latent counts as dead; None for 4
            million, or for a tenth of a training that is shorter than ten times that.
    """

    d_in: eqx.AbstractVar[int]
    d_sae: eqx.AbstractVar[int]
    d_out: eqx.AbstractVar[int | None]
    skip: eqx.AbstractVar[bool]
    sites: eqx.AbstractVar[int | None]
    decoder_norm: eqx.AbstractVar[float]
    dead_after: eqx.AbstractVar[Number | None]

    @abc.abstractmethod
    def nonlinearity(self) -> AbstractNonlinearity:
        """What the dictionary begins with in place of pre-activations' sign."""

    @property
    def centred(self) -> bool:
        """Whether b_dec is taken off the input: wherever it is of the same place."""
        return self.d_out is None and self.sites is None

    @property
    def scales(self) -> bool:
        """Whether latents are in units of their decoder rows' lengths."""
        return False

    def init(self, key: Key[Array, ""]) -> Dictionary:
        """A dictionary to train, with tied random directions.

        Decoder rows are normal and then scaled to `decoder_norm`; the encoder is the
        decoder's transpose, so that latents begin by reading what they write; biases
        and the skip are 0. A crosscoder's rows begin the same at all sites, so that
        none is told from another before training does it. A transcoder's two sides are
        of different spaces: its encoder has directions of its own.

        Args:
            key: Of the directions.
        """
        d_out = self.d_in if self.d_out is None else self.d_out
        axes = () if self.sites is None else (self.sites,)
        rows = self._rows(key, d_out)
        reads = rows
        if self.d_out is not None:
            reads = self._rows(fold_name(key, "reads"), self.d_in)
        return Dictionary(
            jnp.moveaxis(reads, 0, -1),
            self._b_enc(),
            rows,
            jnp.zeros((*axes, d_out)),
            jnp.zeros((d_out, self.d_in)) if self.skip else None,
            self.nonlinearity(),
            self.centred,
            self.scales,
        )

    def _rows(self, key: Key[Array, ""], width: int) -> Float[Array, "..."]:
        """Random directions, the same at all sites, of the length to begin with."""
        rows = jax.random.normal(key, (self.d_sae, width))
        rows = self.decoder_norm * rows / jnp.linalg.norm(rows, axis=-1, keepdims=True)
        if self.sites is None:
            return rows
        return jnp.repeat(rows[:, None], self.sites, axis=1)

    def _b_enc(self) -> Float[Array, " d_sae"] | None:
        """The encoder's bias to begin with."""
        return jnp.zeros(self.d_sae)

    def active(
        self, dictionary: Dictionary, pre: Float[Array, "batch d_sae"]
    ) -> Float[Array, "batch d_sae"]:
        """Latents in training, which may depend on the rest of the batch.

        Args:
            dictionary: The dictionary.
            pre: Its pre-activations.
        """
        return dictionary.nonlinearity(pre)

    def reconstruction(self, dictionary: Dictionary, run: Run) -> Float[Array, ""]:
        """What is paid for errors: their square, by default of the output alone.

        Args:
            dictionary: The dictionary.
            run: A batch and its latents.
        """
        del dictionary
        return mean_square(run.error)

    def penalty(self, dictionary: Dictionary, run: Run) -> Float[Array, ""]:
        """What is paid for latents; nothing where their number is given.

        Args:
            dictionary: The dictionary.
            run: A batch and its latents.
        """
        del dictionary
        return jnp.zeros((), run.f.dtype)

    def auxiliary(self, dictionary: Dictionary, run: Run) -> Float[Array, ""]:
        """What is paid beside reconstruction and sparsity; nothing by default.

        Args:
            dictionary: The dictionary.
            run: A batch and its latents.
        """
        del dictionary
        return jnp.zeros((), run.f.dtype)

    def is_dead(self, state: State) -> Bool[Array, " d_sae"]:
        """Which latents have been silent for so long that they count as dead.

        Args:
            state: What training keeps.
        """
        after = DEAD_AFTER if self.dead_after is None else self.dead_after
        return state.silent >= after

    def trained_for(self, tokens: int) -> "AbstractArchitecture":
        """The architecture for a training of so many tokens.

        In a short training no latent could be silent for the usual while, and none
        would ever be found dead.

        Args:
            tokens: Activations that the training serves.
        """
        if self.dead_after is not None:
            return self
        return dataclasses.replace(self, dead_after=min(DEAD_AFTER, tokens / 10))

    def next_state(self, state: State, f: Float[Array, "batch d_sae"]) -> State:
        """What training keeps after a batch.

        Args:
            state: What it kept before.
            f: The batch's latents.
        """
        return state.after((f > 0).any(0), len(f))

    def loss(
        self,
        dictionary: Dictionary,
        x: Float[Array, "batch ..."],
        target: Float[Array, "batch ..."],
        state: State,
    ) -> tuple[Float[Array, ""], Terms]:
        """The loss of a batch, to be differentiated by the dictionary, and its parts.

        Args:
            dictionary: The dictionary.
            x: Activations, [batch, d_in] or [batch, site, d_in].
            target: What the output should be; x itself for an autoencoder.
            state: What training keeps beside the weights.

        Returns:
            Reconstruction + sparsity + auxiliary, and the terms, whose `state` is that
            for the next step.

        Raises:
            ValueError: the activations or the target have another width.
        """
        check_target(dictionary, target)
        target = target.astype(dictionary.W_dec.dtype)
        pre = dictionary.pre(x)
        f = self.active(dictionary, pre)
        dead = self.is_dead(state)
        run = Run(x, pre, f, target - dictionary.output(x, f), dead, state.progress)
        parts = (
            self.reconstruction(dictionary, run),
            self.penalty(dictionary, run),
            self.auxiliary(dictionary, run),
        )
        spread = mean_square(target - jnp.broadcast_to(target.mean(0), target.shape))
        terms = Terms(
            *parts,
            (f > 0).sum(-1).astype(f.dtype).mean(),
            ratio(mean_square(run.error), spread, empty=0.0),
            dead.astype(f.dtype).mean(),
            self.next_state(state, f),
        )
        return sum(parts[1:], parts[0]), jax.lax.stop_gradient(terms)

    def finished(self, dictionary: Dictionary, state: State) -> Dictionary:
        """The dictionary as it is used after training, from what training kept.

        Args:
            dictionary: As it was trained.
            state: What training kept.
        """
        del state
        return dictionary


def mean_square(error: Float[Array, "batch ..."]) -> Float[Array, ""]:
    """Squares summed over everything but the batch, of which the mean is taken."""
    return jnp.square(error).sum() / len(error)


def warmed(
    coefficient: Number, warm_up: Number, progress: Float[Array, ""]
) -> Float[Array, ""]:
    """A coefficient that rises linearly from 0 over a share of the training.

    Args:
        coefficient: Its value in the end.
        warm_up: Share of the training over which it rises; 0 for none.
        progress: Share of the training that is done.
    """
    warm_up = jnp.asarray(warm_up, jnp.float32)
    share = ratio(progress, warm_up, empty=1.0)
    return jnp.asarray(coefficient, jnp.float32) * jnp.clip(share, 0, 1)


def check_target(dictionary: Dictionary, target: Array) -> None:
    """Refuse a target of another width than what the dictionary writes.

    Raises:
        ValueError: it has.
    """
    if target.shape[1:] != dictionary.b_dec.shape:
        raise ValueError(
            f"loss: this dictionary writes arrays [batch, *{dictionary.b_dec.shape}]; "
            f"the target is {list(target.shape)}. Of an autoencoder it is the input "
            "itself, of a transcoder the activations of the site that it stands for."
        )


def check_sizes(who: str, config: AbstractArchitecture) -> None:
    """Refuse sizes that no dictionary has.

    Args:
        who: Name of the architecture, for the message.
        config: The architecture.

    Raises:
        ValueError: a size is not positive, or a crosscoder has a skip.
    """
    sizes = {"d_in": config.d_in, "d_sae": config.d_sae}
    sizes |= {} if config.d_out is None else {"d_out": config.d_out}
    sizes |= {} if config.sites is None else {"sites": config.sites}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{who}: `{name}` must be at least 1; got {size}.")
    if config.skip and config.sites is not None:
        raise ValueError(
            f"{who}: a crosscoder (`sites={config.sites}`) has no skip; leave `skip` "
            "out, or train a transcoder for each site."
        )


def check_numbers(who: str, least: float, **numbers: Any) -> None:
    """Refuse plain numbers that are too small or none; arrays are not looked at.

    Args:
        who: Name of the architecture, for the message.
        least: What they must be at least.
        numbers: Name -> number.

    Raises:
        ValueError: one is smaller or NaN.
    """
    for name, number in numbers.items():
        if isinstance(number, jax.Array | np.ndarray):
            continue
        if not number >= least:
            raise ValueError(f"{who}: `{name}` must be at least {least}; got {number}.")


class ArchitectureSpec(NamedTuple):
    """A row of the catalogue of architectures.

    Args:
        name: What the architecture is called.
        summary: One line about it.
        build: Keyword options -> architecture.
        tiny: Options, besides `d_in` and `d_sae`, with which it is tested.
        paper: Where it is from.
    """

    name: str
    summary: str
    build: Callable[..., AbstractArchitecture]
    tiny: dict[str, Any]
    paper: str
