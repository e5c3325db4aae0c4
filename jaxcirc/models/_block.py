"""One layer: attention and MLP around the residual stream."""

import equinox as eqx
import jax.random as jr
from jaxtyping import Array, Float, Key

from ._attention import Attention
from ._config import TransformerConfig
from ._constants import LayerConstants
from ._mlp import MLP
from ._norm import Norm, make_norm
from ._tape import Tape


class Block(eqx.Module):
    """A transformer block with sites.

    `ln1` and `ln2` normalise what attention and MLP read, `ln1_post` and `ln2_post`
    what they write; those that the config leaves out are None.
    """

    ln1: Norm | None
    attn: Attention
    ln1_post: Norm | None
    ln2: Norm | None
    mlp: MLP | None
    ln2_post: Norm | None
    parallel: bool = eqx.field(static=True)

    def __init__(self, config: TransformerConfig, *, key: Key[Array, ""]):
        attn_key, mlp_key = jr.split(key)

        def norm(position: str) -> Norm | None:
            there = config.norm_position in (position, "both")
            return make_norm(config) if there else None

        self.attn = Attention(config, key=attn_key)
        self.ln1, self.ln1_post = norm("before"), norm("after")
        self.mlp = MLP(config, key=mlp_key) if config.d_mlp else None
        self.ln2 = norm("before") if config.d_mlp else None
        self.ln2_post = norm("after") if config.d_mlp else None
        self.parallel = config.parallel

    def __call__(
        self,
        x: Float[Array, "*batch pos d_model"],
        constants: LayerConstants,
        tape: Tape,
    ) -> Float[Array, "*batch pos d_model"]:
        """The residual stream after this layer."""
        x = tape("resid_pre", x)
        attn_out = self.attn(x, self.ln1, constants, tape)
        if self.ln1_post is not None:
            attn_out = self.ln1_post(attn_out, tape, "ln1_post")
        attn_out = tape("attn.out", attn_out)
        if self.mlp is None:
            return tape("resid_post", x + attn_out)
        mid = x if self.parallel else tape("resid_mid", x + attn_out)
        mlp_in = tape("mlp.in", mid)
        if self.ln2 is not None:
            mlp_in = self.ln2(mlp_in, tape, "ln2")
        mlp_out = self.mlp(mlp_in, tape)
        if self.ln2_post is not None:
            mlp_out = self.ln2_post(mlp_out, tape, "ln2_post")
        mlp_out = tape("mlp.out", mlp_out)
        out = mid + attn_out + mlp_out if self.parallel else mid + mlp_out
        return tape("resid_post", out)
