"""Sets of sparse features: what a narrow residual stream holds in superposition."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ._batch import Batch, Split
from ._task import AbstractTask, TaskSpec


class Superposition(AbstractTask):
    """`f · f f · ?`: slots with a feature or without, and a question at the end.

    The answer is one of the features that are there, drawn at random, and only the last
    position has one. So the best a model can do is to say of every feature whether it
    is there, in about equal parts, and all of it must pass through one vector: with
    more features than dimensions they share directions (Elhage et al. 2022). Because
    slots are seen through attention, features come in as a sum, as in the toy model of
    that paper, and which are there is known of every example.

    A feature is drawn for a slot with a probability that falls as rank^-exponent. The
    first slot always has one, so that every question has an answer.

    Args:
        n_features: How many features there are; `·` and `?` are two tokens more.
        n_slots: Slots before the question, so features that are there at most.
        filled: The probability that a slot behind the first one has a feature.
        exponent: Of Zipf's law; 0 if all features are to be as frequent.

    Raises:
        ValueError: there are too few features or slots, or a number is out of range.

    Example:
        >>> import jax.random as jr
        >>> task = Superposition(6, 3, filled=1.0, exponent=0.0)
        >>> batch = task.sample(1, key=jr.key(0))
        >>> there, answer = batch.tokens[0, :3].tolist(), int(batch.targets[0, -1])
        >>> answer in there, task.decode(batch.tokens[0])[-1]
        (True, '?')
        >>> int(task.features(batch.tokens).sum())
        3
    """

    n_features: int = eqx.field(static=True)
    n_slots: int = eqx.field(static=True)
    filled: float = eqx.field(static=True)
    exponent: float = eqx.field(static=True)
    d_vocab: int = eqx.field(static=True)
    n_ctx: int = eqx.field(static=True)

    def __init__(self, n_features: int, n_slots: int, filled: float, exponent: float):
        if n_features < 2 or n_slots < 1:
            raise ValueError(
                "superposition: needs at least two features and one slot; got "
                f"`n_features` = {n_features} and `n_slots` = {n_slots}."
            )
        if not 0 <= filled <= 1 or not 0 <= exponent < np.inf:
            raise ValueError(
                "superposition: `filled` is a share, from 0 to 1, and `exponent` is "
                f"not negative; got {filled} and {exponent}."
            )
        self.n_features, self.n_slots = n_features, n_slots
        self.filled, self.exponent = filled, exponent
        self.d_vocab, self.n_ctx = n_features + 2, n_slots + 1

    @property
    def d_vocab_out(self) -> int:
        """A logit for each feature: neither `·` nor `?` is ever the answer."""
        return self.n_features

    def sample(self, n: int, *, split: Split = "train", key: Key[Array, ""]) -> Batch:
        """`n` sets of features, drawn afresh for either split.

        Args:
            n: Number of examples.
            split: `train` or `test`.
            key: Random key of the draw.
        """
        del split
        of_features, of_slots, of_answer = jr.split(key, 3)
        rank = jnp.arange(1, self.n_features + 1, dtype=jnp.float32)
        drawn = jr.categorical(
            of_features, -self.exponent * jnp.log(rank), shape=(n, self.n_slots)
        )
        there = jr.bernoulli(of_slots, self.filled, (n, self.n_slots))
        there = there.at[:, 0].set(True)
        slots = jnp.where(there, drawn, self.n_features).astype(jnp.int32)
        # The largest of random numbers picks evenly among the slots that are filled.
        lot = jnp.where(there, jr.uniform(of_answer, there.shape), -1)
        answer = jnp.take_along_axis(slots, lot.argmax(axis=1, keepdims=True), axis=1)
        question = jnp.full((n, 1), self.n_features + 1, jnp.int32)
        tokens = jnp.concatenate([slots, question], axis=1)
        last = jnp.broadcast_to(jnp.arange(self.n_ctx) == self.n_slots, tokens.shape)
        return Batch(tokens, jnp.broadcast_to(answer, tokens.shape), last)

    def features(
        self, tokens: Int[Array, "*example pos"]
    ) -> Float[Array, "*example feature"]:
        """How often each feature is there, which is what the last position can see.

        Args:
            tokens: Sequences of this task.
        """
        return jax.nn.one_hot(tokens, self.n_features).sum(axis=-2)

    def corrupt(self, batch: Batch, *, key: Key[Array, ""]) -> Batch:
        """Every feature renamed by a random shift: as many, and all of them others.

        Args:
            batch: Examples of this task.
            key: Random key of the counterparts.
        """
        shape = (*batch.tokens.shape[:-1], 1)
        shift = jr.randint(key, shape, 1, self.n_features)

        def rename(tokens: Array) -> Array:
            moved = (tokens + shift) % self.n_features
            return jnp.where(tokens < self.n_features, moved, tokens)

        return Batch(rename(batch.tokens), rename(batch.targets), batch.mask)

    def decode(self, tokens: Int[Array, " pos"]) -> list[str]:
        """A feature is `f` and its rank, an empty slot `·`, the question `?`."""
        marks = {self.n_features: "·", self.n_features + 1: "?"}
        return [marks.get(int(t), f"f{int(t)}") for t in np.asarray(tokens)]

    def describe(self) -> dict[str, str]:
        """How many features there are, and how many at a time."""
        at_once = 1 + self.filled * (self.n_slots - 1)
        return {
            "problem": "name one of the features that are there",
            "features": f"{self.n_features:,}, by rank^-{self.exponent:g}",
            "at once": f"1 to {self.n_slots}, {at_once:.3g} in the mean",
        }


def superposition(
    n_features: int = 64, n_slots: int = 6, filled: float = 0.4, exponent: float = 0.3
) -> Superposition:
    """Sparse features that have to pass through one vector.

    Args:
        n_features: How many features there are.
        n_slots: Slots before the question.
        filled: The probability that a slot behind the first one has a feature.
        exponent: Of Zipf's law; 0 if all features are to be as frequent.

    Raises:
        ValueError: there are too few features or slots, or a number is out of range.
    """
    return Superposition(n_features, n_slots, filled, exponent)


SPEC = TaskSpec(
    name="superposition",
    summary="sets of sparse features that have to pass through one vector",
    build=superposition,
    tiny={"n_features": 8, "n_slots": 3},
)
