"""A RASP program as a transformer, with what each of its parts is for."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxcirc.models import Transformer


class Exactness(NamedTuple):
    """What was checked of a compiled program, and how.

    Args:
        mlp_exactness: tracr's parameter, which says how sharp the MLPs' steps are.
        needed: The sharpness that a program needs at this length if it counts through
            selector widths, 2 n (n + 1); 0 for programs that do not.
        inputs: Number of sequences that were compared with the RASP interpreter.
        exhaustive: Whether these are all that there are.
        largest_error: Largest difference of a numerical output; 0 for categorical ones,
            which agree or do not.
    """

    mlp_exactness: int
    needed: int
    inputs: int
    exhaustive: bool
    largest_error: float


class Output(NamedTuple):
    """What a compiled program says of a sequence.

    Args:
        decoded: One value per token; the first one is BOS and means nothing.
        logits: Scores of the output's values, or the number itself in one column.
    """

    decoded: list[Any]
    logits: Float[Array, "pos d_out"]


class CompiledModel(eqx.Module):
    """A program compiled into a transformer, with its vocabulary and labels.

    Attributes:
        model: The transformer; sites, edits, metrics and LLCs work on it as on any.
        vocab: What each input id stands for, BOS and PAD included.
        output_values: What each output stands for; None if the output is a number.
        bos: The token that every sequence starts with.
        pad: A token that is in the vocabulary but is not masked.
        max_seq_len: Number of tokens of the longest sequence, BOS left out.
        residual_labels: What every direction of the residual stream is for.
        head_names: (layer, head, what it computes); see `heads`.
        mlp_names: (layer, what it computes); see `mlps`.
        exactness: What was checked against the interpreter.

    Example:
        >>> from tracr_bridge.rasp import compile, programs
        >>> compiled = compile(programs.histogram(), "ab", 2, check=0)
        >>> compiled.inputs, compiled.output_values
        (('a', 'b'), (0, 1, 2))
        >>> [compiled.vocab[i] for i in compiled.encode(["BOS", "b"])]
        ['BOS', 'b']
    """

    # All but the weights is static, so that a program is a pytree of its weights.
    model: Transformer
    vocab: tuple[Any, ...] = eqx.field(static=True)
    output_values: tuple[Any, ...] | None = eqx.field(static=True)
    bos: str = eqx.field(static=True)
    pad: str = eqx.field(static=True)
    max_seq_len: int = eqx.field(static=True)
    residual_labels: tuple[str, ...] = eqx.field(static=True)
    head_names: tuple[tuple[int, int, str], ...] = eqx.field(static=True)
    mlp_names: tuple[tuple[int, str], ...] = eqx.field(static=True)
    exactness: Exactness = eqx.field(static=True)

    def __call__(self, tokens: Sequence[Any]) -> Output:
        """What the program says, one value per token.

        Args:
            tokens: BOS, then values of the vocabulary.

        Raises:
            ValueError: BOS is missing, a token is unknown, or there are too many.
        """
        logits = _forward(self.model, jnp.asarray(self.encode(tokens)))
        return Output(self.decode(logits), logits)

    def encode(self, tokens: Sequence[Any]) -> Int[np.ndarray, " pos"]:
        """Ids of tokens, as the transformer takes them.

        Args:
            tokens: BOS, then values of the vocabulary.

        Raises:
            ValueError: BOS is missing, a token is unknown, or there are too many.
        """
        tokens = list(tokens)
        if not tokens or tokens[0] != self.bos:
            raise ValueError(
                f"CompiledModel: a sequence starts with {self.bos!r}; got "
                f"{tokens[:1] or 'nothing'}. Put it before the first token."
            )
        if len(tokens) - 1 > self.max_seq_len:
            raise ValueError(
                f"CompiledModel: {len(tokens) - 1} tokens are more than `max_seq_len` "
                f"= {self.max_seq_len}. Compile for longer sequences."
            )
        # BOS is in the vocabulary, and is refused anywhere but in front.
        ids = []
        for place, token in enumerate(tokens):
            found = place_of(token, self.vocab)
            if found is None or (place and token == self.bos):
                known = ", ".join(repr(v) for v in self.inputs)
                raise ValueError(
                    f"CompiledModel: token {token!r} at position {place} is not in the "
                    f"vocabulary: {known}."
                )
            ids.append(found)
        return np.asarray(ids, np.int32)

    def decode(self, logits: Float[Array | np.ndarray, "pos d_out"]) -> list[Any]:
        """Values of outputs; that at BOS means nothing and is BOS.

        Args:
            logits: Outputs of this model, or of one with the same unembedding. The
                value with the highest logit is taken, or the number in the only column.

        Raises:
            ValueError: categories are decoded as a number, or a number as categories.
        """
        columns = 1 if self.output_values is None else len(self.output_values)
        if logits.shape[-1] != columns:
            says = "a number" if self.output_values is None else f"{columns} categories"
            raise ValueError(
                f"CompiledModel: the program's output is {says}, in {columns} columns; "
                f"got {logits.shape[-1]}. Decode outputs of this model, or of one with "
                "the same unembedding."
            )
        if self.output_values is None:
            values = np.asarray(logits)[:, 0].tolist()
        else:
            chosen = np.asarray(logits).argmax(axis=-1).tolist()
            values = [self.output_values[i] for i in chosen]
        return [self.bos, *values[1:]]

    def trainable(self, *, key: Key[Array, ""]) -> Transformer:
        """The same architecture with fresh random weights.

        Args:
            key: The weights are drawn from it.
        """
        return Transformer(self.model.config, key=key)

    @property
    def heads(self) -> dict[tuple[int, int], str]:
        """(layer, head) -> what it writes; heads that are only padding are left out."""
        return {(layer, head): name for layer, head, name in self.head_names}

    @property
    def mlps(self) -> dict[int, str]:
        """Layer -> what its MLP writes; layers without one are left out."""
        return dict(self.mlp_names)

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The vocabulary without BOS and PAD."""
        return tuple(v for v in self.vocab if v not in (self.bos, self.pad))

    @property
    def categorical(self) -> bool:
        """Whether outputs are values of a set rather than numbers."""
        return self.output_values is not None


def place_of(wanted: Any, values: Sequence[Any]) -> int | None:
    """Where a value stands, or None; `True` equals 1 and is another value."""
    same = (type(v) is type(wanted) and v == wanted for v in values)
    return next((place for place, found in enumerate(same) if found), None)


@eqx.filter_jit
def _forward(model: Transformer, ids: Array) -> Array:
    """Logits at the precision that compiled programs need."""
    # tracr's attention is sharp enough for lower precision to change what it selects.
    with jax.default_matmul_precision("highest"):
        return model(ids)
