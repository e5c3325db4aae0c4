"""What attention patterns and everything else have to do with a change of logits."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from .._core import at_least_float32, widened
from ..models import Transformer
from ._freeze import freeze
from ._models import check_alike


class Decomposition(eqx.Module):
    """Logits of two models with each other's attention patterns.

    Args:
        base: f(w0, A0), the first model.
        ov: f(w1, A0): the tuned weights under the patterns of the first.
        qk: f(w0, A1): the first weights under the tuned patterns.
        tuned: f(w1, A1), the tuned model.
    """

    base: Float[Array, "*batch pos d_vocab"]
    ov: Float[Array, "*batch pos d_vocab"]
    qk: Float[Array, "*batch pos d_vocab"]
    tuned: Float[Array, "*batch pos d_vocab"]

    @property
    def interaction(self) -> Float[Array, "*batch pos d_vocab"]:
        """What neither change does alone: f(1,1) - f(1,0) - f(0,1) + f(0,0)."""
        return self.tuned - self.ov - self.qk + self.base

    def sizes(self) -> Float[Array, "3"]:
        """Lengths of the changes by OV, by QK and of the interaction, over the whole's.

        They need not add up to 1, since the three are no right angles to each other; 0
        for a model that has not changed.
        """
        parts = (self.ov - self.base, self.qk - self.base, self.interaction)
        whole = jnp.linalg.norm(self.tuned - self.base)
        lengths = jnp.stack([jnp.linalg.norm(part) for part in parts])
        return lengths / jnp.where(whole > 0, whole, 1)


def decompose(
    base: Transformer,
    tuned: Transformer,
    tokens: Integer[Array | np.ndarray, "*batch pos"],
) -> Decomposition:
    """The change from `base` to `tuned` by what heads move, where from, and both.

    Attention patterns A of each model are put into the other, as in the seed's
    attention-frozen model: f(w1, A0) - f(w0, A0) is the change by everything but
    patterns (OV: values, outputs, MLPs, embeddings), f(w0, A1) - f(w0, A0) that by
    patterns alone (QK), and the interaction is the rest. All three add up to the whole
    change.

    Args:
        base: The first model.
        tuned: The changed one, of the same config.
        tokens: Ids.

    Returns:
        Four sets of logits and their interaction.

    Raises:
        ValueError: the models are not alike, or the tokens are no ids.

    Example:
        >>> import equinox as eqx, jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import taylor
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(d_vocab=5, n_ctx=7, n_layers=1, d_model=4)
        >>> base = Transformer(config, key=jr.key(0))
        >>> tuned = eqx.tree_at(lambda m: m.W_U, base, 2 * base.W_U)
        >>> parts = taylor.decompose(base, tuned, jnp.array([0, 1, 2]))
        >>> parts.sizes().round(4).tolist()  # no pattern has changed
        [1.0, 0.0, 0.0]
    """
    check_alike(base, tuned, who="taylor.decompose")
    base, tuned = widened(base), widened(tuned)
    return Decomposition(*_four(base, tuned, jnp.asarray(tokens)))


@eqx.filter_jit
def _four(base, tuned, tokens):
    # One program for all four: the compiler shares what they have in common.
    first, second = freeze(base, tokens), freeze(tuned, tokens)
    runs = ((base, first), (tuned, first), (base, second), (tuned, second))
    return [at_least_float32(model(tokens, edits=kept)) for model, kept in runs]
