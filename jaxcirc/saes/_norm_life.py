"""Lives of a crosscoder's latents, from what they write at each checkpoint."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._core import ratio


class NormLives(NamedTuple):
    """When each latent of a checkpoint crosscoder begins to write, and when it ends.

    Args:
        born: The place of the first checkpoint at which it writes; -1 if it never does.
        peak: The place of the checkpoint at which it writes most.
        died: The place of the first checkpoint after its end; -1 for no end.
    """

    born: Int[np.ndarray, " latent"]
    peak: Int[np.ndarray, " latent"]
    died: Int[np.ndarray, " latent"]


def decoder_norms(
    W_dec: Float[Array, "latent checkpoint d"],
) -> Float[Array, "latent checkpoint"]:
    """The length of what each latent writes at each checkpoint (or layer).

    Over checkpoints this is the latent's trajectory: the shared activation says when it
    fires, and the length how much of it a checkpoint has (Ge et al. 2025,
    arXiv:2509.17196). A length of 0 need not mean that the feature is not there; see
    `latent_scaling`.

    Args:
        W_dec: The decoder of a crosscoder.
    """
    return jnp.linalg.norm(W_dec.astype(jnp.float32), axis=-1)


def relative_norms(
    W_dec: Float[Array, "latent checkpoint d"],
) -> Float[Array, "latent checkpoint"]:
    """RelDec: the share of each checkpoint in what a latent writes, by length.

    ‖W_dec[i, m]‖ / Σ_m ‖W_dec[i, m]‖, in [0, 1]; 1 / checkpoints for all of a latent
    that writes nothing anywhere. Between two checkpoints, latents above 0.7 are often
    called those of that checkpoint, those below 0.3 those of the other, and all between
    shared (Bayazit et al. 2025, arXiv:2509.05291).

    Args:
        W_dec: The decoder of a crosscoder.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc import saes
        >>> W_dec = jnp.array([[[3.0, 4.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 3.0]]])
        >>> saes.decoder_norms(W_dec).tolist()
        [[5.0, 0.0], [1.0, 3.0]]
        >>> saes.relative_norms(W_dec).tolist()
        [[1.0, 0.0], [0.25, 0.75]]
    """
    norms = decoder_norms(W_dec)
    total = jnp.broadcast_to(norms.sum(axis=1, keepdims=True), norms.shape)
    return ratio(norms, total, empty=1 / norms.shape[1])


def norm_lives(
    norms: Float[Array | np.ndarray, "latent checkpoint"],
    *,
    enter: float = 0.5,
    stay: float = 0.3,
    persist: int = 2,
) -> NormLives:
    """Births and deaths of a crosscoder's latents, from the lengths that they write.

    A latent lives at a stretch of checkpoints where its length is at least `stay` times
    its largest one, if it reaches `enter` times it somewhere and the stretch has at
    least `persist` checkpoints. It is born with the first such stretch and dies with
    the last. Latents have their place in all checkpoints, so nothing is matched.

    Args:
        norms: Lengths from `decoder_norms`.
        enter: The share of the largest length that makes a stretch one of its life.
        stay: The share above which the stretch goes on.
        persist: The fewest checkpoints of a stretch.

    Returns:
        Places of births, peaks and deaths.

    Raises:
        ValueError: `stay` is above `enter`, or a share is not in (0, 1].

    Example:
        >>> import numpy as np
        >>> from jaxcirc import saes
        >>> lengths = np.array([[0.1, 0.4, 1.0, 0.9], [1.0, 0.9, 0.1, 0.0]])
        >>> [v.tolist() for v in saes.norm_lives(lengths)]
        [[1, 0], [2, 0], [-1, 2]]
    """
    if not 0 < stay <= enter <= 1:
        raise ValueError(
            f"norm_lives: shares must be 0 < `stay` <= `enter` <= 1; got {stay} and "
            f"{enter}."
        )
    table = np.asarray(norms)
    n, places = table.shape
    born, died = np.full(n, -1), np.full(n, -1)
    peak = table.argmax(axis=1)
    for latent, row in enumerate(table):
        stretches = _stretches(row, enter, stay, persist) if row.max() > 0 else []
        if stretches:
            born[latent] = stretches[0][0]
            died[latent] = -1 if stretches[-1][1] == places else stretches[-1][1]
    return NormLives(born, peak, died)


def _stretches(row, enter, stay, persist) -> list[tuple[int, int]]:
    """First places and places after the last, of all stretches that count."""
    above = np.concatenate([[False], row >= stay * row.max(), [False]])
    ends = np.flatnonzero(above[1:] != above[:-1]).reshape(-1, 2)
    return [
        (int(first), int(last))
        for first, last in ends
        if last - first >= persist and row[first:last].max() >= enter * row.max()
    ]
