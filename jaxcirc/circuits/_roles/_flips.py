"""Prompts in which the repeated name is another one, or stands in another place."""

import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Int, Key

from ..._core import fold_name
from ...tasks import Pairs

# Whether the token of the repeated name, and the place of its first occurrence, are
# those of the clean prompt.
FLIPS = {
    "position": "same token, other position (ABB -> BAB)",
    "token": "other token of the prompt, same position (ABB -> BAA)",
    "token_and_position": "other token of the prompt, other position (ABB -> ABA)",
    "names": "two other names, same position (ABB -> XYY)",
    "names_and_position": "two other names, other position (ABB -> XYX)",
}


def flips(pairs: Pairs, *, key: Key[Array, ""]) -> dict[str, Int[Array, "example pos"]]:
    """The clean prompts with their names exchanged, in the five ways of `FLIPS`.

    A prompt of indirect object identification has three names, A B B: IO, and S twice.
    What a head says about the repeated name may be which token it is or where it stood
    before, and flips that change one of the two tell which (Wang et al. 2023, appendix
    A). Names are the tokens at the positions `IO`, `S1` and `S2`; other names are drawn
    from those of all pairs.

    Args:
        pairs: Pairs with the positions `IO`, `S1` and `S2`, in any order of IO and S1.
        key: Of the draw of other names.

    Returns:
        Token ids of the flipped prompts by the name of the flip. Where fewer than two
        other names exist among the pairs, any of them are taken.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.circuits import flips
        >>> from jaxcirc.tasks import Pairs
        >>> clean = jnp.array([[1, 2, 9, 2], [4, 3, 9, 3]])  # A B and B
        >>> places = {n: jnp.full(2, i) for n, i in zip(("IO", "S1", "S2"), (0, 1, 3))}
        >>> pairs = Pairs(clean, clean, clean[:, :1], clean[:, 1:2], places)
        >>> made = flips(pairs, key=jr.key(0))
        >>> made["position"][0].tolist(), made["token"][0].tolist()
        ([2, 1, 9, 2], [2, 1, 9, 1])
        >>> sorted(made["names"][0].tolist())  # X Y and Y
        [3, 3, 4, 9]
    """
    io, s1, s2 = (pairs.positions[name] for name in ("IO", "S1", "S2"))
    example = jnp.arange(len(pairs.clean))
    a, b = pairs.clean[example, io], pairs.clean[example, s1]
    x, y = _other_names(a, b, key)

    def made(at_io: Array, at_s1: Array, at_s2: Array) -> Array:
        tokens = pairs.clean.at[example, io].set(at_io)
        return tokens.at[example, s1].set(at_s1).at[example, s2].set(at_s2)

    return {
        "position": made(b, a, b),
        "token": made(b, a, a),
        "token_and_position": made(a, b, a),
        "names": made(x, y, y),
        "names_and_position": made(x, y, x),
    }


def _other_names(
    a: Int[Array, " example"], b: Int[Array, " example"], key: Key[Array, ""]
) -> tuple[Int[Array, " example"], Int[Array, " example"]]:
    """Two names for each example that it has not, from those of all examples."""
    pool = jnp.concatenate([a, b])
    shape = (len(a), len(pool))
    taken = (pool[None] == a[:, None]) | (pool[None] == b[:, None])

    def drawn(name: str, taken: Array) -> Array:
        luck = jnp.where(taken, -1, jr.uniform(fold_name(key, name), shape))
        return pool[jnp.argmax(luck, axis=1)]

    x = drawn("first", taken)
    return x, drawn("second", taken | (pool[None] == x[:, None]))
