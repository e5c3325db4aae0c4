"""How periodic a matrix is along its rows: power by Fourier frequency."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._core import at_least_float32, ratio, root, unit_scale
from ._sparsity import gini
from ._spec import Known, MetricSpec


@jax.jit
def fourier_power(
    x: Float[Array, "number column"],
) -> Float[Array, " frequency"]:
    """Share of each frequency in the power of `x` along its rows.

    The squared length of the cosine and sine components with 1, 2, … turns over all
    rows, up to half as many as there are rows, over that of all (Nanda et al. 2023,
    section 4.1, for an embedding of numbers). What is the same in all rows has no
    frequency and is left out. Each in [0, 1], together 1; 2 / (rows - 1) by chance, and
    half that for the last of an even number. All 0 if rows do not differ. Unchanged by
    scale, by rotation of the columns, and by where the rows begin.

    Args:
        x: One row for each number, in order.

    Raises:
        ValueError: fewer than three rows.

    Example:
        >>> import jax.numpy as jnp
        >>> wave = jnp.cos(2 * jnp.pi * 3 * jnp.arange(11.0) / 11)
        >>> [round(float(share), 4) for share in fourier_power(wave[:, None])]
        [0.0, 0.0, 1.0, 0.0, 0.0]
    """
    n = x.shape[0]
    if n < 3:
        raise ValueError(
            f"fourier_power: frequencies along rows need at least 3 rows; got {n}."
        )
    wide = at_least_float32(x)
    centred = wide - wide.mean(axis=0, keepdims=True)
    waves = jnp.fft.rfft(centred / unit_scale(centred), axis=0)[1:]
    power = (jnp.square(waves.real) + jnp.square(waves.imag)).sum(axis=1)
    # The last frequency of an even number of rows has a cosine alone.
    both = jnp.where(2 * jnp.arange(1, n // 2 + 1) == n, 1, 2).astype(power.dtype)
    total = (both * power).sum()
    return ratio(both * power, jnp.broadcast_to(total, power.shape), empty=0.0)


@jax.jit
def fourier_gini(x: Float[Array, "number column"]) -> Float[Array, ""]:
    """How few frequencies along its rows a matrix uses: Gini of their lengths.

    Of the lengths of the components, roots of `fourier_power` (Nanda et al. 2023,
    section 5.1). In [0, 1): 0 if all frequencies are as strong, 1 - 1/k for one
    of k frequencies. Unchanged by scale, by rotation of the columns, and by a vector
    that is added to every row. 0 if rows do not differ.

    Args:
        x: One row for each number, in order.

    Raises:
        ValueError: fewer than three rows.

    Example:
        >>> import jax.numpy as jnp
        >>> wave = jnp.cos(2 * jnp.pi * 3 * jnp.arange(11.0) / 11)
        >>> round(float(fourier_gini(wave[:, None])), 4)  # one of five
        0.8
    """
    return gini(root(fourier_power(x)))


def _wave() -> Array:
    angle = 2 * jnp.pi * 5 * jnp.arange(113.0) / 113
    return jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)


SPEC = MetricSpec(
    name="fourier_gini",
    summary="how few frequencies along the rows hold the power",
    fn=fourier_gini,
    kind="array",
    bounds=(0.0, 1.0),
    units="",
    paper="Nanda et al. 2023",
    invariant_to=frozenset({"scale", "sign", "feature_rotation", "translation"}),
    known=(
        Known(lambda: (_wave(),), 1 - 1 / 56, 1e-3),
        # Lengths of 800 normal numbers: their Gini is 1 / sqrt(2 pi 800).
        Known(lambda: (jr.normal(jr.key(0), (201, 400)),), 0.0141, 0.003),
    ),
    data=("weights", "gradients"),
)
