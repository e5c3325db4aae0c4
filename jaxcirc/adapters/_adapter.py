"""Changes of several weights of one model, and the model that has them."""

import equinox as eqx
import jax
import jax.tree_util as jtu
from jaxtyping import Array

from .._core import named_leaves, unknown
from ..models import Transformer, TransformerConfig
from ._low_rank import LowRank, matrix_shape


class Adapter(eqx.Module):
    """Low-rank changes of some weights of a model.

    It is a pytree whose arrays are the factors alone, so it has a gradient, is trained
    by any optimiser and saved like any other tree. It belongs to models of one config.

    Args:
        changes: Path of a weight -> its change.
        config: That of the models which it fits.

    Raises:
        ValueError: a path is no matrix of such a model, or factors do not fit it.
    """

    changes: dict[str, LowRank]
    config: TransformerConfig = eqx.field(static=True)

    def updates(self) -> dict[str, Array]:
        """The change of each weight as a matrix, [*layer, in, out], by path."""
        return {name: change.update() for name, change in self.changes.items()}


def check_fits(adapter: Adapter, *, who: str) -> None:
    """Refuse factors that belong to another model, before anything is computed.

    Args:
        adapter: The adapter.
        who: Who complains.

    Raises:
        ValueError: a path is no matrix of such a model, or factors do not fit it.
    """
    like = eqx.filter_eval_shape(Transformer, adapter.config, key=jax.random.key(0))
    leaves = named_leaves(like)
    for name, change in adapter.changes.items():
        leaf = leaves.get(name)
        matrix = None if leaf is None else matrix_shape(name, leaf.shape)
        if leaf is None or matrix is None:
            known = [n for n, x in leaves.items() if matrix_shape(n, x.shape)]
            raise ValueError(f"{who}: {unknown('matrix', name, known)}")
        layers = leaf.shape[:1] if name.startswith("blocks.") else ()
        wanted = [(*layers, matrix[0], change.rank), (*layers, change.rank, matrix[1])]
        got = [change.A.shape, change.B.shape]
        if got != wanted:
            raise ValueError(
                f"{who}: factors of `{name}` have shapes {got[0]} and {got[1]}; this "
                f"model takes {wanted[0]} and {wanted[1]}. Is it another model's "
                "adapter?"
            )


def merge(model: Transformer, adapter: Adapter) -> Transformer:
    """The adapted model: W + scale · A B at every weight that the adapter changes.

    The outcome is an ordinary model, which can be called, saved and measured. Merging
    costs rank · in · out per weight, which is less than the two thin products would
    cost on a batch of more than in · out / (in + out) positions; so the adapted model
    is the merged one also while an adapter trains, and the two cannot differ.

    Args:
        model: The model that the adapter was made for, or another of its config.
        adapter: The changes.

    Returns:
        The model with changed weights, in its own types.

    Raises:
        ValueError: the adapter belongs to models of another config.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc.adapters import lora, merge
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(d_vocab=5, n_ctx=7, n_layers=1, d_model=8)
        >>> model = Transformer(config, key=jr.key(0))
        >>> fresh = lora(model, rank=2, key=jr.key(1))
        >>> bool((merge(model, fresh).blocks.attn.W_Q == model.blocks.attn.W_Q).all())
        True
    """
    if adapter.config != model.config:
        raise ValueError(
            f"adapters.merge: the adapter is of models with the config "
            f"{adapter.config}, and the model has {model.config}. Load the model that "
            "the adapter was trained on."
        )
    leaves = dict(named_leaves(model))
    for name, update in adapter.updates().items():
        weight = leaves[name]
        # In the weight's own type, and with leading axes of seeds where there are any.
        leaves[name] = weight + update.reshape(weight.shape).astype(weight.dtype)
    # Named leaves are in the order of the tree, none of which is no array.
    return jtu.tree_unflatten(jtu.tree_structure(model), list(leaves.values()))
