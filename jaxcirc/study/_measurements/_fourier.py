"""Which frequencies a model of modular addition uses."""

import jax.numpy as jnp
from jaxtyping import Array, Key

from ...metrics import fourier_gini, fourier_power
from ...models import Transformer, TransformerConfig
from ...tasks import AbstractTask, ModAdd
from ._measurement import MeasurementSpec, PerCheckpoint, Snapshot
from ._quantity import Outcome, Quantity

_PARTS = ("embedding", "unembedding")


class Fourier(PerCheckpoint):
    """Power by frequency of the embedding and unembedding of the numbers modulo p.

    A model that has learnt to add by rotation (Nanda et al. 2023) keeps a handful of
    frequencies. `=` is no number and is left out.
    """

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse a task that is not of numbers modulo p.

        Args:
            config: The config of the study's models.
            task: The study's task.

        Raises:
            ValueError: it is another one.
        """
        del config
        _modulus(task)

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Shares `power` by `part` and `frequency`, and `gini` by `part`."""
        del key
        parts = _of_numbers(snapshot.model, _modulus(task))
        power = jnp.stack([fourier_power(part) for part in parts])
        gini = jnp.stack([fourier_gini(part) for part in parts])
        return Outcome(
            {
                "power": Quantity(
                    power,
                    ("part", "frequency"),
                    "share",
                    "of the power over numbers, by turns over all of them",
                    2 / (_modulus(task) - 1),
                ),
                "gini": Quantity(
                    gini, ("part",), "", "how few frequencies hold the power", 0.0
                ),
            }
        )

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Names of the parts, and frequencies from 1 on."""
        del config, key
        turns = range(1, _modulus(task) // 2 + 1)
        return {"part": list(_PARTS), "frequency": [str(k) for k in turns]}


def _modulus(task: AbstractTask) -> int:
    """The number of numbers.

    Raises:
        ValueError: the task is not of numbers modulo p.
    """
    if not isinstance(task, ModAdd) or task.p < 3:
        raise ValueError(
            "fourier: frequencies are of numbers modulo p, of at least 3; take the "
            "task `mod_add`, or the metric `fourier_gini` for any weight."
        )
    return task.p


def _of_numbers(model: Transformer, p: int) -> tuple[Array, Array]:
    """The rows of numbers, [number, d_model], of embedding and unembedding."""
    # A tied model unembeds with its embedding.
    W_U = model.W_E.T if model.W_U is None else model.W_U
    return model.W_E[:p], W_U.T[:p]


def fourier() -> Fourier:
    """The measurement of which frequencies a model of modular addition uses."""
    return Fourier()


SPEC = MeasurementSpec(
    name="fourier",
    summary="power by Fourier frequency of the numbers of modular addition",
    build=fourier,
    tiny={},
    tiny_study=("task={name: mod_add, p: 7}",),
)
