"""What is put in place of what a circuit leaves out."""

import abc
from collections.abc import Callable
from typing import ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from .._core import Catalogue, find
from ..models import Transformer, Written, written
from ..tasks import Pairs


class AbstractAblation(eqx.Module):
    """What sources are taken to have written along edges that are cut.

    Attributes:
        name: What scores and curves say that they belong to.
    """

    name: eqx.AbstractClassVar[str]

    def fitted(self, model: Transformer, pairs: Pairs) -> "AbstractAblation":
        """The ablation with whatever it needs to know of all pairs; itself by default.

        Args:
            model: The model.
            pairs: All pairs, of which single chunks are ablated later.
        """
        del model, pairs
        return self

    @abc.abstractmethod
    def __call__(self, model: Transformer, pairs: Pairs) -> Written:
        """What to put in place, for each of some pairs.

        Args:
            model: The model.
            pairs: A chunk of the pairs that it was fitted to.
        """


class Resample(AbstractAblation):
    """What the corrupted partner of each example makes the sources write.

    Interchange or patching: everything stays as a real sequence would have it, and only
    what differs between the partners can have an effect.
    """

    name: ClassVar[str] = "resample"

    def __call__(self, model: Transformer, pairs: Pairs) -> Written:
        """What the corrupted sequences write."""
        return written(model, pairs.corrupted)


class Zero(AbstractAblation):
    """Nothing. Constants that a model counts on are removed with what it computes.

    Biases that attention and MLPs add behind their heads stay; learned positions go
    with the embedding unless the graph has a source for them.
    """

    name: ClassVar[str] = "zero"

    def __call__(self, model: Transformer, pairs: Pairs) -> Written:
        """Zeros of the shape of what is written."""
        shapes = jax.eval_shape(written, model, pairs.clean)
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)


class Constant(AbstractAblation):
    """The same for all examples: means, or constants that were learnt.

    Args:
        values: What each source is taken to write, with an example axis of size 1, and
            a position axis of size 1 where it is the same at all positions.
        of: What it is called.
    """

    values: Written
    of: str = eqx.field(static=True)

    @property
    def name(self) -> str:  # pyright: ignore
        """What it is called."""
        return self.of

    def __call__(self, model: Transformer, pairs: Pairs) -> Written:
        """The constants, once for each example and position."""
        shapes = jax.eval_shape(written, model, pairs.clean)
        return jax.tree.map(
            lambda x, shape: jnp.broadcast_to(x, shape.shape), self.values, shapes
        )


class Mean(AbstractAblation):
    """The mean of what each source writes over examples, by position or over all.

    Args:
        of: Sequences that are averaged: `corrupted`, `clean`, or `both`.
        positions: `each` averages every position for itself, which needs sequences in
            which the same positions mean the same; `all` averages over positions too.
    """

    of: Literal["corrupted", "clean", "both"] = eqx.field(
        static=True, default="corrupted"
    )
    positions: Literal["each", "all"] = eqx.field(static=True, default="each")
    name: ClassVar[str] = "mean"

    def fitted(self, model: Transformer, pairs: Pairs) -> Constant:
        """Means over all pairs.

        Args:
            model: The model.
            pairs: All pairs.

        Raises:
            ValueError: positions are averaged for themselves, and the named positions
                of the pairs are at different places in different examples.
        """
        if self.positions == "each":
            _check_aligned(pairs)
        values = _means(model, pairs, self.of, self.positions)
        return Constant(values=values, of=self.name)

    def __call__(self, model: Transformer, pairs: Pairs) -> Written:
        """Means over these pairs alone; `fitted` takes them over all."""
        return self.fitted(model, pairs)(model, pairs)


@eqx.filter_jit
def _means(model: Transformer, pairs: Pairs, of: str, positions: str) -> Written:
    sequences = {
        "clean": [pairs.clean],
        "corrupted": [pairs.corrupted],
        "both": [pairs.clean, pairs.corrupted],
    }[of]

    # One example after the other, so that nothing is held for all of them at once.
    def add(total: Written, tokens: Array) -> tuple[Written, None]:
        return jax.tree.map(jnp.add, total, written(model, tokens[None])), None

    tokens = jnp.concatenate(sequences)
    shapes = jax.eval_shape(written, model, tokens[:1])
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    total, _ = jax.lax.scan(add, zeros, tokens)
    mean = jax.tree.map(lambda x: x / jnp.asarray(len(tokens), x.dtype), total)
    if positions == "each":
        return mean
    over = lambda x, axis: x.mean(axis=axis, keepdims=True)
    return Written(
        over(mean.embed, -2),
        None if mean.pos_embed is None else over(mean.pos_embed, -2),
        over(mean.heads, -3),
        None if mean.mlps is None else over(mean.mlps, -2),
    )


def _check_aligned(pairs: Pairs) -> None:
    """Refuse pairs whose named positions are not at the same places.

    Raises:
        ValueError: some position differs between examples.
    """
    for name, places in pairs.positions.items():
        if isinstance(places, Tracer):
            continue
        if len(set(np.asarray(places).ravel().tolist())) > 1:
            raise ValueError(
                f"Mean: position `{name}` is at different places in different examples "
                f"({np.asarray(places).ravel()[:8].tolist()}, …), so a mean at each "
                "position mixes what does not correspond. Give Mean(positions='all') "
                "or pairs that are aligned."
            )


class AblationSpec(NamedTuple):
    """A row of the catalogue of ablations.

    Args:
        name: What it is called.
        summary: One line about it.
        build: Keyword options -> ablation.
    """

    name: str
    summary: str
    build: Callable[..., AbstractAblation]


_OWN = (
    AblationSpec("resample", "what the corrupted partner writes", Resample),
    AblationSpec("zero", "nothing", Zero),
    AblationSpec("mean", "the mean of what is written, by position or over all", Mean),
)
ABLATIONS = Catalogue("jaxcirc.ablations", _OWN, of=AblationSpec)


def ablation_of(given: str | AbstractAblation) -> AbstractAblation:
    """An ablation given by its name or as it is.

    Args:
        given: A row of `ABLATIONS`, or an ablation.

    Raises:
        ValueError: no row has this name.
    """
    if isinstance(given, AbstractAblation):
        return given
    return find(ABLATIONS, given, kind="ablation").build()
