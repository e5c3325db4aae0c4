"""The k largest entries of rows, without sorting the rows."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# Of 2,048 x 4,096 numbers on two CPU cores, in units of counting through them once:
# `lax.top_k` takes 2 for k = 8, 3 for 32, 6 for 128 and 7 for 256, the search below 8
# for any k, and sorting the rows 46. Bisecting bits alone takes as long as the search
# where values are spread smoothly, and always 31 rounds.
_SELECTED_AT_MOST = 256


def at_least_kth(
    f: Float[Array, "*batch d_sae"], k: Int[Array, "..."], most: int
) -> Bool[Array, "*batch d_sae"]:
    """Whether each entry is at least the k-th largest of its row.

    k is an array, so that one program serves every k up to `most`; if it is small,
    JAX's own selection of the `most` largest is the fastest, and else a search for the
    k-th value. Of equal entries at the k-th place all are taken.

    Args:
        f: Rows.
        k: How many; between 1 and `most`.
        most: Bound of k, known when the program is compiled.
    """
    fixed = jax.lax.stop_gradient(f)
    if most > _SELECTED_AT_MOST:
        return _search(fixed, k)
    largest, _ = jax.lax.top_k(fixed, most)
    # XLA on CPUs only selects when nothing is sliced off the result: a slice of it is
    # compiled to a sort of the whole row, which takes 40 times as long.
    largest = jax.lax.optimization_barrier(largest)
    kth = jnp.take(largest, k - 1, axis=-1)[..., None]
    return fixed >= jnp.broadcast_to(kth, f.shape)


def largest_of_all(
    f: Float[Array, "*shape"], total: Int[Array, ""]
) -> Bool[Array, "*shape"]:
    """Whether each entry is among the largest of a whole array.

    Args:
        f: Numbers.
        total: How many; of equal ones at the last place all are taken.
    """
    flat = jax.lax.stop_gradient(f).reshape(-1)
    return _search(flat, total).reshape(f.shape)


def _search(
    f: Float[Array, "*batch d_sae"], k: Int[Array, "..."]
) -> Bool[Array, "*batch d_sae"]:
    """The same by narrowing, for each row, an interval around the k-th value.

    Interpolating the logarithm of the count takes few steps where values are
    spread smoothly; bisecting every other time bounds the steps wherever they are not.
    Integers that are ordered as the numbers are make an interval that ends.
    """
    # As integers, -0 would be below 0.
    whole = jnp.where(f == 0, 0, f).astype(jnp.float32)
    keys = _ordered(whole)
    row = f.shape[:-1]
    k = jnp.broadcast_to(k, row).astype(jnp.int32)

    def count(key):
        return (keys >= key[..., None]).sum(-1, dtype=jnp.int32)

    def narrow(state):
        step, low, high, many, few = state
        middle = (low >> 1) + (high >> 1) + (low & high & 1)
        most, least, wanted = (
            jnp.log(n.astype(jnp.float32) + 0.5) for n in (many, few, k)
        )
        share = (most - wanted) / jnp.maximum(most - least, 1e-6)
        down, up = _number(low), _number(high)
        between = _ordered(down + (up - down) * share)
        guess = jnp.where(step % 2 == 0, between, middle)
        guess = jnp.clip(guess, low + 1, jnp.maximum(high - 1, low + 1))
        found = count(guess)
        go = ~_done(low, high, many, k)
        rise, fall = go & (found >= k), go & (found < k)
        low, many = jnp.where(rise, guess, low), jnp.where(rise, found, many)
        high, few = jnp.where(fall, guess, high), jnp.where(fall, found, few)
        return step + 1, low, high, many, few

    low, high = keys.min(-1), keys.max(-1) + 1
    start = (0, low, high, jnp.full(row, f.shape[-1]), jnp.zeros(row, jnp.int32))
    start = jax.tree.map(lambda n: jnp.asarray(n, jnp.int32), start)
    going = lambda state: ~_done(state[1], state[2], state[3], k).all()
    _, low, *_ = jax.lax.while_loop(going, narrow, start)
    return keys >= low[..., None]


def _done(low: Array, high: Array, many: Array, k: Array) -> Array:
    """Whether a row's interval holds one number, or separates k entries exactly."""
    # Not as a difference, which overflows between numbers of opposite signs.
    return (high <= low + 1) | (many == k)


def _ordered(x: Float[Array, "*shape"]) -> Int[Array, "*shape"]:
    """Integers in the order of the numbers; those of negative ones are turned round."""
    bits = jax.lax.bitcast_convert_type(x, jnp.int32)
    return jnp.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


def _number(key: Int[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The number that has this place in the order."""
    bits = jnp.where(key < 0, key ^ 0x7FFFFFFF, key)
    return jax.lax.bitcast_convert_type(bits, jnp.float32)
