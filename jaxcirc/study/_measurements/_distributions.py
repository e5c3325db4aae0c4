"""How the entries of every matrix are distributed, beside a reference's."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ..._core import at_least_float32, named_leaves
from ...metrics import wasserstein
from ...models import TransformerConfig
from ...tasks import AbstractTask
from ._between import BetweenTwo
from ._matrices import matrices, matrix_names
from ._measurement import MeasurementSpec, Snapshot
from ._quantity import Outcome, Quantity
from ._reference import Reference, described

# Bins end here, in standard deviations of the reference; entries beyond are at the end.
_REACH = 4.0


class Distributions(BetweenTwo):
    """Histograms of the entries of each matrix, and how far they have moved.

    Entries are divided by the standard deviation that they had at the reference, so
    that matrices and checkpoints have the same bins, and a histogram that does not
    change is the same picture at every step. A distribution can stay what it was while
    every entry has moved: so the share of entries that have moved by a tenth of that
    deviation or more stands beside it.
    """

    bins: int = eqx.field(static=True)

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Names of the matrices, and the middle of each bin."""
        del task, key
        edges = np.linspace(-_REACH, _REACH, self.bins + 1)
        middles = [f"{x:.2f}" for x in (edges[1:] + edges[:-1]) / 2]
        return {"matrix": matrix_names(config), "entry": middles}

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Histograms with axes `matrix` and `entry`, and numbers by `matrix`."""
        del task, key
        new = dict(matrices(named_leaves(snapshot.model)))
        old = dict(matrices(named_leaves(snapshot.inputs["reference"])))
        scaled = [_scaled(new[name], old[name]) for name in new]
        shares = [_histogram(here, self.bins) for here, _ in scaled]
        apart = [wasserstein(here, there) for here, there in scaled]
        moved = [(jnp.abs(a - b) >= 0.1).astype(a.dtype).mean() for a, b in scaled]
        since = described(self.reference)
        return Outcome(
            {
                "entries": Quantity(
                    jnp.stack(shares),
                    ("matrix", "entry"),
                    "share",
                    f"of entries, in standard deviations of those at {since}",
                    role="detail",
                ),
                "wasserstein": Quantity(
                    jnp.stack(apart),
                    ("matrix",),
                    "deviations",
                    f"distance of the distribution from that at {since}",
                ),
                "moved": Quantity(
                    jnp.stack(moved),
                    ("matrix",),
                    "share",
                    f"of entries that differ by 0.1 deviations or more from {since}",
                ),
            }
        )


def _scaled(new: Array, old: Array) -> tuple[Array, Array]:
    """Both matrices in standard deviations of the second."""
    new, old = at_least_float32(new), at_least_float32(old)
    spread = old.std()
    # A matrix of one number has no spread, and is taken as it is.
    spread = jnp.where(spread > 0, spread, 1)
    return new / spread, old / spread


def _histogram(x: Array, bins: int) -> Array:
    """The share of entries in each bin, those beyond the ends in the last."""
    inside = jnp.clip(x.ravel(), -_REACH, _REACH)
    counts, _ = jnp.histogram(inside, bins, range=(-_REACH, _REACH))
    return counts / x.size


def distributions(bins: int = 32, reference: Reference = "first") -> Distributions:
    """The measurement of how entries of matrices are distributed.

    Args:
        bins: Bins from -4 to 4 standard deviations of the reference's entries.
        reference: The model that is compared with: `first`, a step, or another run.

    Raises:
        ValueError: there are fewer than two bins.
    """
    if bins < 2:
        raise ValueError(f"distributions: `bins` must be at least 2; got {bins}.")
    return Distributions(reference, bins)


SPEC = MeasurementSpec(
    name="distributions",
    summary="histogram of every matrix's entries, and how far they have moved",
    build=distributions,
    tiny={"bins": 4},
)
