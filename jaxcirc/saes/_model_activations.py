"""Activations of models at named sites, computed when they are drawn."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Int, Integer, Key

from ..models import Transformer, TransformerConfig, capture
from ..tasks import AbstractTask
from ._first_layers import first_layers, layers_needed
from ._site_layout import SiteLayout, site_layout
from ._source import AbstractSource, Rows
from ._spread import spread_rows


class ModelActivations(AbstractSource):
    """What models compute at some sites, on the same tokens for all of them.

    Args:
        models: One model, or a stack of checkpoints with a leading axis.
        stacked: Whether there is such an axis.
        tokens: A task that is sampled, or sequences that are each read once in a pass.
        inputs: Sites to encode.
        targets: Sites to give instead; none where these are the inputs.
        sequences: Sequences of a draw.
        passes: How often each of the given sequences may be drawn.
        skip_first: Positions at the start of each sequence that are left out, such as
            1 for a token of beginning.
        ignore: Ids of tokens that are left out, such as padding.
        key: Random key of the sequences.

    Raises:
        ValueError: a site is unknown, has no rows of one width for each position, or
            sites that are stacked have different widths; or sequences are no array of
            ids with an axis of positions.
    """

    models: Transformer
    stacked: bool = eqx.field(static=True)
    tokens: AbstractTask | Integer[Array, "example pos"]
    inputs: SiteLayout = eqx.field(static=True)
    targets: SiteLayout | None = eqx.field(static=True)
    sequences: int = eqx.field(static=True)
    skip_first: int = eqx.field(static=True)
    ignore: tuple[int, ...] = eqx.field(static=True)
    key: Key[Array, ""]
    axes: tuple[str, ...] = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    most: int | None = eqx.field(static=True)

    def __init__(
        self,
        models: Transformer,
        tokens: AbstractTask | Integer[Array | np.ndarray, "example pos"],
        inputs: Sequence[str],
        targets: Sequence[str] = (),
        *,
        sequences: int = 16,
        passes: int = 1,
        skip_first: int = 0,
        ignore: Sequence[int] = (),
        key: Key[Array, ""],
    ):
        depth = layers_needed(models.config, (*inputs, *targets))
        self.models = first_layers(models, depth)
        self.stacked = models.W_E.ndim == 3
        self.inputs = site_layout(models.config, inputs)
        self.targets = site_layout(models.config, targets) if targets else None
        self.skip_first, self.ignore, self.key = skip_first, tuple(ignore), key
        self.tokens = _checked(tokens, models.config)
        if isinstance(tokens, AbstractTask):
            self.sequences, self.most = sequences, None
        else:
            self.sequences = min(sequences, len(tokens))
            self.most = passes * (len(tokens) // self.sequences)
        if self.targets and self.targets[1:3] != self.inputs[1:3]:
            raise ValueError(
                f"saes.train: inputs at {', '.join(inputs)} and targets at "
                f"{', '.join(targets)} must both be read in one layer or in as many; "
                f"got {self.inputs.size} and {self.targets.size}."
            )
        axis = (self.inputs.axis,) if self.inputs.axis else ()
        self.axes = (*(("checkpoint",) if self.stacked else ()), *axis)
        n_models = (models.W_E.shape[0],) if self.stacked else ()
        self.shape = (*n_models, *((self.inputs.size,) if axis else ()))

    def draw(self, number: Int[Array, ""]) -> tuple[Rows, Bool[Array, " row"]]:
        """The activations of some sequences, and which positions count.

        Args:
            number: Number of the draw.
        """
        tokens = self._tokens(number)
        rows = self._over_models(tokens)
        place = jnp.arange(tokens.shape[1])[None]
        keep = jnp.broadcast_to(place >= self.skip_first, tokens.shape)
        for ignored in self.ignore:
            keep &= tokens != ignored
        return rows, keep.reshape(-1)

    def _tokens(self, number: Int[Array, ""]) -> Int[Array, "example pos"]:
        if isinstance(self.tokens, AbstractTask):
            key = jr.fold_in(self.key, number)
            return self.tokens.sample(self.sequences, split="train", key=key).tokens
        n = self.tokens.shape[0]
        index = spread_rows(n, self.sequences, number, self.key)
        return self.tokens[index].astype(jnp.int32)

    def _over_models(self, tokens: Array) -> Rows:
        if not self.stacked:
            return self._of_one(self.models, tokens)
        of_one = lambda model: self._of_one(model, tokens)
        # Checkpoint by checkpoint on a CPU, which keeps one model in cache.
        if jax.default_backend() == "cpu":
            found = jax.lax.map(of_one, self.models)
        else:
            found = jax.vmap(of_one)(self.models)
        return jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), found)

    def _of_one(self, model: Transformer, tokens: Array) -> Rows:
        both = [self.inputs] if self.targets is None else [self.inputs, self.targets]
        names = tuple(name for layout in both for name in layout.names)
        acts = capture(model, tokens, names)[1]
        return Rows(*(layout.rows(acts, tokens.shape) for layout in both))


def _checked(
    tokens: AbstractTask | Integer[Array | np.ndarray, "example pos"],
    config: TransformerConfig,
) -> AbstractTask | Integer[Array, "example pos"]:
    """Tokens that the models know, checked before anything is compiled.

    Raises:
        ValueError: they are no ids, or some that the models have not.
    """
    if isinstance(tokens, AbstractTask):
        if tokens.d_vocab > config.d_vocab:
            raise ValueError(
                f"saes.train: the task has {tokens.d_vocab:,} tokens and the model "
                f"knows {config.d_vocab:,}."
            )
        return tokens
    kind = getattr(tokens, "dtype", np.dtype(object))
    if not jnp.issubdtype(kind, jnp.integer) or tokens.ndim != 2 or not len(tokens):
        raise ValueError(
            "saes.train: the data of a model are a task, or token ids [example, pos] "
            f"with at least one example; got {type(tokens).__name__} of shape "
            f"{getattr(tokens, 'shape', None)}."
        )
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= config.d_vocab:
        raise ValueError(
            f"saes.train: token ids must be in [0, {config.d_vocab:,}); got {low:,} to "
            f"{high:,}."
        )
    return jnp.asarray(tokens)
