"""Patch a single edge: one destination reads something else."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from ..models import AbstractIntervention, Tape, Transformer, TransformerConfig


class OneRead(AbstractIntervention):
    """Add something to the stream for one destination alone.

    The same as an `EdgeMask` that cuts one edge, at the cost of a plain forward pass:
    nothing has to be remembered of the sources, since none before the destination has
    changed.

    Args:
        model: The model that is to run.
        destination: Place of the destination in `graph(model.config)`.
        difference: What is put in place minus what was written by the source.
    """

    difference: Float[Array, "*batch pos d_model"]
    here: Bool[Array, "layer column"]
    logits: Bool[Array, ""]
    attn: PyTree
    norm: PyTree
    n_heads: int = eqx.field(static=True)
    n_keys: int = eqx.field(static=True)
    mlp: bool = eqx.field(static=True)

    def __init__(
        self,
        model: Transformer,
        destination: Int[Array, ""],
        difference: Float[Array, "*batch pos d_model"],
    ):
        c = model.config
        self.n_heads, self.n_keys = c.n_heads, c.sizes.n_kv_heads
        self.mlp = bool(c.sizes.d_mlp)
        columns = self.n_heads + 2 * self.n_keys + self.mlp
        place = jnp.arange(c.n_layers * columns).reshape(c.n_layers, columns)
        self.difference = difference
        self.here = place == destination
        self.logits = destination == c.n_layers * columns
        self.attn, self.norm = model.blocks.attn, model.blocks.ln1

    @property
    def sites(self) -> tuple[str, ...]:
        """Where destinations read, behind projections for heads."""
        mlp = ("mlp.in",) if self.mlp else ()
        return ("resid_pre", "attn.q", "attn.k", "attn.v", *mlp, "logits.in")

    @property
    def layered(self) -> tuple[str, ...]:
        """Which destination of the layer it is, and what attention reads with."""
        return ("here", "attn", "norm")

    def init(self, config: TransformerConfig, tokens: Int[Array, "..."]) -> Array:
        """The stream that the layer reads, once it is known.

        Args:
            config: The model's config.
            tokens: What it reads.
        """
        return jnp.zeros((*tokens.shape, config.d_model), self.attn.W_Q.dtype)

    def __call__(
        self, site: str, x: Array, memory: Array, tape: Tape
    ) -> tuple[Array, Array]:
        """What the destination makes of the changed stream; all else as it was."""
        del tape
        if site == "resid_pre":
            return x, x
        if site in ("mlp.in", "logits.in"):
            read = self.logits if site == "logits.in" else self.here[-1]
            return jnp.where(read, x + self.difference.astype(x.dtype), x), memory
        name = site.removeprefix("attn.")
        n, k = self.n_heads, self.n_keys
        first, size = {"q": (0, n), "k": (n, k), "v": (n + k, k)}[name]
        stream = memory + self.difference.astype(memory.dtype)
        normed = stream if self.norm is None else self.norm(stream)
        heads = self.here[first : first + size, None]
        return jnp.where(heads, self.attn.projected(name, normed), x), memory
