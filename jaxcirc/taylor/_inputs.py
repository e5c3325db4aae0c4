"""What heads and MLPs put out when they are expanded in what they read."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..models import Tape, Transformer, capture, stages
from ._push import line_powers, push


def module_outputs(
    base: Transformer, tuned: Transformer, tokens: Int[Array, "*batch pos"], order: int
) -> tuple[Float[Array, "order layer ..."], Float[Array, "order layer ..."] | None]:
    """Outputs of the tuned modules, expanded around what they read in `base`.

    A module of layer l is a function g of the stream x that it reads. With x0 from the
    run of `base` and x1 from that of `tuned`, the order k is
    Σ_{j≤k} D^j g(x0)[(x1 - x0)^j] / j!.

    Args:
        base: The model that inputs are expanded around.
        tuned: The model whose modules and inputs they are.
        tokens: Ids.
        order: The highest power.

    Returns:
        Values for `attn.z` and for `mlp.out` (None without MLPs), from order 0 on.
    """
    has_mlp = tuned.blocks.mlp is not None
    read = ("resid_pre", "mlp.in") if has_mlp else ("resid_pre",)
    (_, first), (_, second) = (capture(m, tokens, read) for m in (base, tuned))
    parts = stages(tuned.config, tokens, ("attn.z",))

    def expanded(fn, start, end):
        powers = push(fn, line_powers(start, end - start, max(order, 1)))
        return jnp.cumsum(jnp.stack(powers)[: order + 1], axis=0)

    def layer(here):
        block, own, first, second = here

        def attention(x):
            # What lies behind this site is no part of the result, and XLA drops it.
            _, recorded = parts.layer((x, ()), (block, own, ()), ())
            return recorded["attn.z"]

        z = expanded(attention, first["resid_pre"], second["resid_pre"])
        if not has_mlp:
            return z, None
        mlp = lambda x: _mlp(block, x)
        return z, expanded(mlp, first["mlp.in"], second["mlp.in"])

    z, mlp = jax.lax.map(layer, (tuned.blocks, parts.varying, first, second))
    # The order becomes the first axis, before that of the layers.
    z = jnp.swapaxes(z, 0, 1)
    return z, None if mlp is None else jnp.swapaxes(mlp, 0, 1)


def _mlp(block, x: Array) -> Array:
    """What the layer's MLP writes into the stream `x`."""
    normed = x if block.ln2 is None else block.ln2(x)
    out = block.mlp(normed, Tape())
    after = None if block.norm_stream else block.ln2_post
    return out if after is None else after(out)
