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
    what they write, or for `norm_position="stream"` the stream that they have written
    to; those that the config leaves out are None.
    """

    ln1: Norm | None
    attn: Attention
    ln1_post: Norm | None
    ln2: Norm | None
    mlp: MLP | None
    ln2_post: Norm | None
    parallel: bool = eqx.field(static=True)
    norm_stream: bool = eqx.field(static=True)

    def __init__(self, config: TransformerConfig, *, key: Key[Array, ""]):
        attn_key, mlp_key = jr.split(key)

        def norm(*positions: str) -> Norm | None:
            there = config.norm_position in positions
            return make_norm(config) if there else None

        def before() -> Norm | None:
            return norm("before", "both")

        def after() -> Norm | None:
            return norm("after", "both", "stream")

        self.attn = Attention(config, key=attn_key)
        self.ln1, self.ln1_post = before(), after()
        self.mlp = MLP(config, key=mlp_key) if config.sizes.d_mlp else None
        self.ln2 = before() if config.sizes.d_mlp else None
        self.ln2_post = after() if config.sizes.d_mlp else None
        self.parallel = config.parallel
        self.norm_stream = config.norm_position == "stream"

    def __call__(
        self,
        x: Float[Array, "*batch pos d_model"],
        constants: LayerConstants,
        tape: Tape,
    ) -> Float[Array, "*batch pos d_model"]:
        """The residual stream after this layer."""
        x = tape("resid_pre", x)
        attn_out = self.attn(x, self.ln1, constants, tape)
        attn_out = tape("attn.out", self._written(attn_out, "ln1_post", tape))
        if self.mlp is None:
            return tape("resid_post", self._added(x, attn_out, "ln1_post", tape))
        # Side by side, the MLP reads what attention reads, and both are added at once.
        mid = x
        if not self.parallel:
            mid = tape("resid_mid", self._added(x, attn_out, "ln1_post", tape))
        mlp_in = tape("mlp.in", mid)
        if self.ln2 is not None:
            mlp_in = self.ln2(mlp_in, tape, "ln2")
        mlp_out = self.mlp(mlp_in, tape)
        mlp_out = tape("mlp.out", self._written(mlp_out, "ln2_post", tape))
        if self.parallel:
            # `stream` norms are refused with it, so the sum stays as it is.
            return tape("resid_post", mid + attn_out + mlp_out)
        return tape("resid_post", self._added(mid, mlp_out, "ln2_post", tape))

    def _written(self, out: Array, name: str, tape: Tape) -> Array:
        """What a sub-layer writes, normalised if that is where the norm is."""
        norm: Norm | None = getattr(self, name)
        return out if norm is None or self.norm_stream else norm(out, tape, name)

    def _added(self, x: Array, out: Array, name: str, tape: Tape) -> Array:
        """The stream with what was written, normalised if that is where the norm is."""
        norm: Norm | None = getattr(self, name)
        total = x + out
        return norm(total, tape, name) if norm and self.norm_stream else total
