"""Fresh low-rank adapters, and what a study says of them."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from .._core import fold_name, named_leaves, normal, select_paths, unknown
from ..models import Transformer
from ._adapter import Adapter
from ._low_rank import LowRank, matrix_shape

# Those of the paper, which adapts what heads look for and what they move.
OVER = ("blocks.attn.W_Q", "blocks.attn.W_V")


class LoRA(eqx.Module):
    """Rank, scale and place of a low-rank adapter, as plain data.

    Args:
        rank: The number of directions of each change, at least 1.
        scale: What each product of factors is multiplied by; PEFT's alpha / rank.
        over: Patterns of the weights to change, as `Training.freeze` takes them.

    Raises:
        ValueError: the rank is below 1, or nothing is to be changed.

    Example:
        >>> LoRA(rank=4).over
        ('blocks.attn.W_Q', 'blocks.attn.W_V')
    """

    rank: int
    scale: float = 1.0
    over: tuple[str, ...] = OVER

    def __check_init__(self):
        if isinstance(self.rank, bool) or self.rank < 1:
            raise ValueError(
                f"LoRA: `rank` must be a whole number of at least 1; got {self.rank!r}."
            )
        if not self.over:
            raise ValueError("LoRA: `over` is empty. Name a weight to change.")

    def to_dict(self) -> dict[str, Any]:
        """The options as JSON-ready data."""
        return {"rank": self.rank, "scale": self.scale, "over": list(self.over)}

    @classmethod
    def from_dict(cls, data: Any) -> "LoRA":
        """The options that a study writes, `{rank: 4, over: [blocks.mlp]}`.

        Args:
            data: As parsed from YAML or JSON.

        Raises:
            ValueError: a key is unknown, `rank` is missing, or a value is of no use.
        """
        for name in data:
            if name not in cls.__dataclass_fields__:
                known = list(cls.__dataclass_fields__)
                raise ValueError(f"LoRA: {unknown('key', str(name), known)}")
        if not isinstance(data.get("rank"), int):
            raise ValueError(
                f"LoRA: `rank` must be a whole number of at least 1; got "
                f"{data.get('rank')!r}."
            )
        over = data.get("over", OVER)
        over = (over,) if isinstance(over, str) else tuple(over)
        return cls(data["rank"], float(data.get("scale", 1.0)), over)


def lora(
    model: Transformer,
    *,
    rank: int,
    scale: float = 1.0,
    over: Sequence[str] = OVER,
    key: Key[Array, ""],
) -> Adapter:
    """A fresh adapter of a model, which changes nothing yet.

    Each weight W that is named gets factors A, drawn with variance 1 / inputs, and
    B = 0 (Hu et al. 2021, arXiv:2106.09685). At B = 0 the model's dependence on the two
    has a closed form: to first order only B counts, A's own change enters with the
    second, and for a linear model nothing follows after that.

    Args:
        model: The model to adapt.
        rank: The number of directions of each change, below both sides of every matrix
            that is changed.
        scale: What each product of factors is multiplied by.
        over: Patterns of the weights to change, as paths of the model. Of what a
            pattern matches, matrices are taken and biases left out.
        key: Random key of A; each weight draws from a key of its own.

    Returns:
        The adapter.

    Raises:
        ValueError: the rank is below 1 or too high to be a restriction, or a pattern
            matches no matrix.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc.adapters import lora
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(d_vocab=5, n_ctx=7, n_layers=3, d_model=8)
        >>> model = Transformer(config, key=jr.key(0))
        >>> adapter = lora(model, rank=2, over=("blocks.attn",), key=jr.key(1))
        >>> adapter.changes["blocks.attn.W_O"].B.shape
        (3, 2, 8)
    """
    wanted = LoRA(rank, scale, tuple(over))
    leaves, marked = named_leaves(model), set()
    for pattern in wanted.over:
        hits = _matches(model, pattern)
        if not any(matrix_shape(name, leaves[name].shape) for name in hits):
            raise ValueError(
                f"lora: `over` has {pattern!r}, which matches no matrix but only "
                f"{', '.join(hits)}. Adapters change matrices, whose names begin "
                "with W_."
            )
        marked |= set(hits)
    changes = {}
    for name, leaf in leaves.items():
        matrix = matrix_shape(name, leaf.shape) if name in marked else None
        if matrix is not None:
            changes[name] = _fresh(name, leaf, matrix, wanted, key)
    return Adapter(changes, model.config)


def _matches(model: Transformer, pattern: str) -> list[str]:
    """Paths that a pattern matches."""
    hits = jax.tree.leaves(select_paths(model, (pattern,), what="lora: over"))
    return [name for name, hit in zip(named_leaves(model), hits, strict=True) if hit]


def _fresh(name: str, leaf: Array, matrix: tuple, wanted: LoRA, key: Array) -> LowRank:
    """Factors of one weight, with B zero.

    Raises:
        ValueError: the rank is no restriction.
    """
    inputs, outputs = matrix
    if wanted.rank >= min(matrix):
        raise ValueError(
            f"lora: `rank` {wanted.rank} is no restriction of `{name}`, a matrix of "
            f"{inputs} by {outputs}. Take less than {min(matrix)}, or train the weight."
        )
    layers = leaf.shape[:1] if name.startswith("blocks.") else ()
    drawn = normal(fold_name(key, name), (*layers, inputs, wanted.rank))
    blank = jnp.zeros((*layers, wanted.rank, outputs), drawn.dtype)
    return LowRank(drawn * inputs**-0.5, blank, wanted.scale)
