"""What few latents write, and its gradient, without the zeros of all others.

With k of n latents at a time, matrices [batch, n] are zeros but for k / n of their
entries. Products with them are sums of k rows of a weight matrix, and gradients of
weights are such rows added up. On a CPU that is several times as fast as the dense
products, if it goes through the batch in pieces whose rows stay in the cache; whole
batches of rows, [batch, k, d], would go through memory and gain nothing.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# Rows of the batch in a piece: with k = 32 and d = 512 in float32 it is 4 MB of rows.
PIECE = 64
# Below this share of latents rows beat dense products by a wide margin.
FEW = 1 / 16


def piece_of(batch: int) -> int:
    """The largest size of pieces, up to 64, that divides a batch.

    Args:
        batch: Rows of the batch.
    """
    return max(n for n in range(1, min(PIECE, batch) + 1) if batch % n == 0)


def pays(batch: int, most: int, d_sae: int) -> bool:
    """Whether rows are to be preferred to dense products, on this device.

    Args:
        batch: Rows of the batch.
        most: Latents at a time, at most.
        d_sae: Latents in all.
    """
    # Accelerators multiply matrices faster than they gather rows.
    here = jax.default_backend() == "cpu"
    return here and most <= FEW * d_sae and piece_of(batch) >= PIECE // 4


@jax.custom_vjp
def few_written(
    x: Float[Array, "batch d_in"],
    W_enc: Float[Array, "d_in d_sae"],
    b_enc: Float[Array, " d_sae"],
    W_dec: Float[Array, "d_sae d_out"],
    index: Int[Array, "batch k"],
    f: Float[Array, "batch k"],
) -> Float[Array, "batch d_out"]:
    """What the chosen latents write: Σ_j f_j W_dec[index_j].

    Gradients take f for relu(x W_enc + b_enc) at the chosen latents, and the choice for
    fixed: they reach W_enc, b_enc and W_dec, as those of the dense products do. None
    reaches x, which training holds constant.

    Args:
        x: Activations.
        W_enc: Encoder.
        b_enc: What is added to its products.
        W_dec: Decoder.
        index: Which latents.
        f: Their values; 0 for those that are not to count.
    """
    del x, W_enc, b_enc

    def written(piece: tuple[Array, Array]) -> Array:
        index, f = piece
        return jnp.einsum("bk,bkd->bd", f, W_dec[index])

    return _joined(jax.lax.map(written, _pieces(index, f)))


def _forward(x, W_enc, b_enc, W_dec, index, f):
    y = few_written(x, W_enc, b_enc, W_dec, index, f)
    return y, (x, W_enc, b_enc, W_dec, index, f)


def _backward(kept, dy):
    x, W_enc, b_enc, W_dec, index, f = kept

    def add(sums, piece):
        dW_enc, db_enc, dW_dec = sums
        x, index, f, dy = piece
        # The gradient by a latent is that by its pre-activation, where it is open.
        df = jnp.einsum("bd,bkd->bk", dy, W_dec[index]) * (f > 0).astype(f.dtype)
        outer = lambda a, b: a[..., None] * b[:, None]
        sums = (
            dW_enc.at[index].add(outer(df, x)),
            db_enc.at[index].add(df),
            dW_dec.at[index].add(outer(f, dy)),
        )
        return sums, None

    # The encoder's gradient by latents, as rows: columns would be spread over memory.
    start = (jnp.zeros_like(W_enc.T), jnp.zeros_like(b_enc), jnp.zeros_like(W_dec))
    sums, _ = jax.lax.scan(add, start, _pieces(x, index, f, dy))
    dW_enc, db_enc, dW_dec = sums
    nothing = jnp.zeros_like
    return nothing(x), dW_enc.T, db_enc, dW_dec, None, nothing(f)


few_written.defvjp(_forward, _backward)


def _pieces(*arrays: Array) -> tuple[Array, ...]:
    n = piece_of(arrays[0].shape[0])
    return tuple(x.reshape(-1, n, *x.shape[1:]) for x in arrays)


def _joined(pieces: Array) -> Array:
    return pieces.reshape(-1, pieces.shape[-1])
