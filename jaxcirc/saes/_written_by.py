"""Directions of known features, from activations in which they are known to be."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def written_by(
    features: Float[Array, "token feature"], x: Float[Array, "token d"]
) -> Float[Array, "feature d"]:
    """What each known feature adds to the activations: a row of a regression.

    Where a model was trained on planted features, it chooses their directions itself.
    They are the rows of D in the least-squares fit x ≈ c + features · D, with a
    constant c that belongs to none. A row is in the units of x for one unit of its
    feature. Directions that add up, as in a residual stream, come back exactly with at
    least as many independent tokens as features and one more; of a feature that is on
    no token the row is 0.

    Args:
        features: How strongly each feature is there.
        x: Activations of the same tokens.

    Returns:
        A direction for each feature, to be given to `mcc` as the truth.

    Raises:
        ValueError: there are not as many tokens of the one as of the other, or no more
            than features.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc import saes
        >>> there = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> x = there @ jnp.array([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]]) + 5.0
        >>> jnp.abs(saes.written_by(there, x)).round(4).tolist()
        [[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]]
    """
    if len(features) != len(x) or len(x) <= features.shape[1]:
        raise ValueError(
            "written_by: needs both arrays of the same tokens, and more tokens than "
            f"features; got features {list(features.shape)} and activations "
            f"{list(x.shape)}."
        )
    inside = features.astype(jnp.float32)
    # Taking means off fits the constant, and keeps it out of the rows.
    inside = inside - inside.mean(axis=0, keepdims=True)
    centred = x.astype(jnp.float32)
    centred = centred - centred.mean(axis=0, keepdims=True)
    return jnp.linalg.lstsq(inside, centred)[0]
