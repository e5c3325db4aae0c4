"""What a component is: options of its own, what it needs of a model, its matrices."""

import abc
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import equinox as eqx
from jaxtyping import Array, Key

from ..models import Transformer, TransformerConfig
from ..tasks import Batch
from ._part import Part

Data = Literal["weights", "activations", "gradients"]
Position = int | Literal["all"]


class Needs(NamedTuple):
    """What a component needs of a model on a batch.

    `observe` computes the union over all components once: one forward pass for all
    activations, and one backward pass for each kind of gradient.

    Args:
        activations: Sites of the forward pass, of the model as it is.
        wide_activations: Sites of the forward pass of the weights in float32 or wider,
            which gradients belong to.
        gradients: Sites at which to take each example's gradient of its own loss.
        weight_gradients: Whether to take gradients of weights, of the mean loss.
        result_gradients: Whether to take the mean loss's gradient at what heads write.
    """

    activations: tuple[str, ...] = ()
    wide_activations: tuple[str, ...] = ()
    gradients: tuple[str, ...] = ()
    weight_gradients: bool = False
    result_gradients: bool = False


class Observed(NamedTuple):
    """A model on a batch, with what the components asked for.

    Args:
        model: The model as it is.
        batch: The examples.
        activations: Site -> what it holds, as `capture` returns it.
        wide_activations: Site -> what it holds with weights in float32 or wider.
        gradients: Site -> gradients, in the shape of the site.
        weight_gradients: In the structure of the model; None unless asked for.
        result_gradients: [layer, *example, pos, d_model]; None unless asked for.
        key: Random key of what a component draws at random.
    """

    model: Transformer
    batch: Batch
    activations: Mapping[str, Array]
    wide_activations: Mapping[str, Array]
    gradients: Mapping[str, Array]
    weight_gradients: Transformer | None
    result_gradients: Array | None
    key: Key[Array, ""]


class AbstractComponent(eqx.Module):
    """Matrices of one part of a model, at every layer, that metrics can be taken of.

    A component is a module: options are static fields, and one that was learnt from
    activations, such as a dictionary, holds its arrays as ordinary ones.

    Attributes:
        name: What a study calls it.
        data: Whether its matrices are weights, activations or gradients.
        layers: Only these layers; None for all.
    """

    name: eqx.AbstractVar[str]
    data: eqx.AbstractVar[Data]
    layers: eqx.AbstractVar[tuple[int, ...] | None]

    @property
    @abc.abstractmethod
    def label(self) -> str:
        """What results call it; no two components of one measurement share it."""

    @abc.abstractmethod
    def needs(self, config: TransformerConfig) -> Needs:
        """What `parts` will ask of the model."""

    @abc.abstractmethod
    def parts(self, seen: Observed) -> dict[str, Part]:
        """Its matrices by label; a pattern of weights has several."""

    def check_batch(self, length: int) -> None:
        """Refuse sequences of a length that it cannot be taken of.

        Raises:
            ValueError: it needs other sequences; the message says which.
        """
        del length


class ComponentSpec(NamedTuple):
    """A row of the component catalogue.

    Args:
        name: What a study calls it.
        summary: One line for `jaxcirc list`.
        build: (config, keyword options) -> component. Names, types and defaults of the
            options are what a study may say. It raises a ValueError where the model
            has no such thing.
        tiny: Options for tests.
    """

    name: str
    summary: str
    build: Callable[..., AbstractComponent]
    tiny: Mapping[str, Any] = {}


def label_of(name: str, data: Data, position: Position = -1, *, usual: Data) -> str:
    """A label that says what is not usual: the kind of data, and the position.

    Args:
        name: Name of the component.
        data: What its matrices are.
        position: Whose activations they are.
        usual: The kind of data that needs no mention.
    """
    kind = "" if data == usual else f".{data}"
    place = "" if data == "weights" or position == -1 else f"@{position}"
    return f"{name}{kind}{place}"


def check_options(
    name: str,
    config: TransformerConfig,
    *,
    data: Data,
    has: tuple[Data, ...],
    layers: tuple[int, ...] | None = None,
    position: Position = -1,
) -> None:
    """Refuse options that the model or the component has no answer to.

    Args:
        name: Name of the component.
        config: The model's config.
        data: What was asked for.
        has: The kinds of data that the component has.
        layers: Layers that were asked for.
        position: Position that was asked for.

    Raises:
        ValueError: the first thing that is wrong.
    """
    # All before a model runs: an index beyond an array's end is clamped inside `jit`.
    if data not in has:
        raise ValueError(f"component {name!r} has no {data}, but {' and '.join(has)}.")
    # Negative ones too: results are labelled by the number that was asked for.
    bad = [layer for layer in layers or () if not 0 <= layer < config.n_layers]
    if bad:
        raise ValueError(
            f"component {name!r}: no layers {bad}; the model has layers 0 to "
            f"{config.n_layers - 1}."
        )
    check_position(name, position, config.n_ctx, "context")


def check_position(name: str, position: Position, length: int, what: str) -> None:
    """Refuse a position that sequences of a length do not have.

    Args:
        name: Name of the component.
        position: Counted from the end if negative; `all` always fits.
        length: Length of the sequences.
        what: What has that length, for the message.

    Raises:
        ValueError: it is outside; an index on arrays would give another position's.
    """
    if position != "all" and not -length <= position < length:
        raise ValueError(
            f"component {name!r}: position {position} is outside the {what} of "
            f"{length}: positions are {-length} to {length - 1}."
        )
