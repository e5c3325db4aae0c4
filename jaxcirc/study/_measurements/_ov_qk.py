"""OV and QK products: copying, matching, and which head reads which."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from ...components import ov, qk
from ...metrics import composition_score, copying_score, matching_score
from ...models import Transformer
from ...tasks import AbstractTask
from ._measurement import MeasurementSpec, PerCheckpoint, Snapshot
from ._quantity import Outcome, Quantity

_HEAD = ("layer", "head")
_PAIR = ("layer", "head", "from_layer", "from_head")


class OVQK(PerCheckpoint):
    """OV copying and QK matching of every head; Q-, K- and V-composition of every pair.

    Compositions have their chance level 1 / √d_model subtracted, and are NaN where the
    reader is not in a later layer than the writer. Norms are ignored, as in Elhage et
    al. (2021).
    """

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """`matching` and `copying` per head, `composition_*` per pair of heads.

        `copying` is left out where answers are not tokens.
        """
        del task, key
        model = snapshot.model
        W_U = model.W_E.T if model.W_U is None else model.W_U
        write, attend = ov(model), qk(model)
        # The product is kept as factors, left queries and right keys transposed.
        keys = jnp.swapaxes(attend.right, -1, -2)
        matching = _every(
            functools.partial(matching_score, model.W_E), attend.left, keys
        )
        queries_back = jnp.swapaxes(attend.left, -1, -2)
        readers = {
            "q": (attend.left, attend.right),
            "k": (keys, queries_back),
            "v": (write.left, write.right),
        }
        measured = {
            "matching": Quantity(
                matching, _HEAD, "", "tokens attend to their own kind: Σλ / Σ|λ|", 0.0
            ),
        }
        # Where answers are not tokens, no token has a logit of its own.
        if W_U.shape[1] == model.W_E.shape[0]:
            copying = _every(
                functools.partial(_copying, model.W_E, W_U), write.left, write.right
            )
            measured["copying"] = Quantity(
                copying, _HEAD, "", "tokens raise their own logits: Σλ / Σ|λ|", 0.0
            )
        for name, reader in readers.items():
            values = _compositions(model, (write.left, write.right), reader)
            meaning = f"{name.upper()}-composition, above that of unrelated heads"
            measured[f"composition_{name}"] = Quantity(values, _PAIR, "", meaning, 0.0)
        return Outcome(measured)


def _copying(W_E: Array, W_U: Array, W_V: Array, W_O: Array) -> Array:
    """The copying score of a head, with the embedding first."""
    return copying_score(W_E, W_V, W_O, W_U)


def _every(score, *stacks: Array) -> Array:
    """A score of every layer and head."""
    return jax.vmap(jax.vmap(score))(*stacks)


def _compositions(model: Transformer, writer, reader) -> Array:
    """Scores of pairs, [layer, head, from_layer, from_head]; NaN if not later."""
    of_reader = lambda read, rest: _every(
        lambda W_V, W_O: composition_score(W_V, W_O, read, rest), *writer
    )
    values = _every(of_reader, *reader) - model.config.d_model**-0.5
    layers = jnp.arange(model.config.n_layers)
    later = layers[:, None] > layers[None, :]
    return jnp.where(later[:, None, :, None], values, jnp.nan)


def ov_qk() -> OVQK:
    """The measurement of copying, matching and composition of heads."""
    return OVQK()


SPEC = MeasurementSpec(
    name="ov_qk",
    summary="OV copying, QK matching, and Q-, K-, V-composition of heads",
    build=ov_qk,
    tiny={},
)
