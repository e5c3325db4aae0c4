"""Masks over edges: a forward pass in which readers see only some of the writers."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ._config import TransformerConfig
from ._edges import edges
from ._intervention import AbstractIntervention
from ._norm import Norm
from ._tape import Tape
from ._transformer import Transformer
from ._written import Written


class Missing(NamedTuple):
    """What an `EdgeMask` remembers from site to site and from layer to layer.

    Args:
        writes: Put in place minus written, for each writer so far; zeros for others.
        results: What the heads of this layer have computed, until the norm behind them
            says what comes of it; None without such a norm.
    """

    writes: Float[Array, "writer *batch pos d_model"]
    results: Float[Array, "*batch pos head d_model"] | None


class EdgeMask(AbstractIntervention):
    """Cut edges: let a reader see something else in place of what a writer has written.

    Every reader v (see `edges`) reads the residual stream plus

        Σ_u (1 - keep[u -> v]) (instead_u - written_u)

    over the writers u before it. With all edges kept this is the clean run, with all of
    them cut that of the tokens that `instead` was taken from, and the gradient with
    respect to `keep` at ones is minus the score of edge attribution patching. Masks may
    be fractions, and a sweep over masks is a `jax.vmap` over `keep`: one program.

    What was written is remembered, one vector for each writer, sequence and position.

    Args:
        model: The model that is to run.
        keep: For each edge, in the order of `edges(model.config)`: 1 keeps, 0 cuts.
        instead: What to put in place of what is cut, for the same shape of tokens: what
            `written` gives for corrupted tokens, their means, or zeros.

    Raises:
        ValueError: `keep` has another number of edges, or the model's residual stream
            is no sum of what was written.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.models import EdgeMask, Transformer, TransformerConfig
        >>> from jaxcirc.models import edges, written
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> clean, corrupted = jnp.zeros((2, 3), int).at[1].set(3)
        >>> none = jnp.zeros(len(edges(config).names))
        >>> cut = EdgeMask(model, none, written(model, corrupted))
        >>> bool(jnp.allclose(model(clean, edits=(cut,)), model(corrupted), atol=1e-4))
        True

    Conmy et al. (2023), "Towards automated circuit discovery"; Syed et al. (2023),
    "Attribution patching outperforms automated circuit discovery".
    """

    embed: Float[Array, "*batch pos d_model"]
    heads: Float[Array, "layer *batch pos head d_model"]
    mlps: Float[Array, "layer *batch pos d_model"] | None
    cut: Float[Array, "layer writer reader"]
    cut_logits: Float[Array, " writer"]
    depth: Int[Array, " layer"]
    post: Norm | None
    n_heads: int = eqx.field(static=True)
    per_layer: int = eqx.field(static=True)

    def __init__(
        self, model: Transformer, keep: Float[Array, " edge"], instead: Written
    ):
        c = model.config
        table = edges(c)
        if keep.shape != table.writer.shape:
            raise ValueError(
                f"EdgeMask: `keep` has shape {keep.shape}; the model has "
                f"{len(table.writer)} edges, see `jaxcirc.models.edges`."
            )
        # As shares that are cut: 0 for pairs that are no edges, which add nothing.
        cut = table.matrix(1 - keep)
        by_layer = cut[:, :-1].reshape(cut.shape[0], c.n_layers, -1)
        self.embed, self.heads = instead.embed, instead.heads
        self.mlps = instead.mlps
        self.cut = jnp.moveaxis(by_layer, 1, 0)
        self.cut_logits = cut[:, -1]
        # Scanned like the mask, so that a layer knows where its writers' places begin.
        self.depth = jnp.arange(c.n_layers)
        self.post = model.blocks.ln1_post
        self.n_heads = c.n_heads
        self.per_layer = (cut.shape[0] - 1) // c.n_layers

    @property
    def sites(self) -> tuple[str, ...]:
        """Where readers read and writers write."""
        reads = ("attn.q_in", "attn.k_in", "attn.v_in", "logits.in")
        mlp = () if self.mlps is None else ("mlp.in", "mlp.out")
        post = () if self.post is None else ("ln1_post.scale",)
        return ("embed", *reads, "attn.result", *mlp, *post)

    @property
    def layered(self) -> tuple[str, ...]:
        """What is put in place in a layer, and the mask of what it reads."""
        return ("heads", "mlps", "cut", "depth", "post")

    def check(self, config: TransformerConfig, table: Mapping[str, Any]) -> None:
        """Refuse what was written for another model or other shapes of tokens.

        Args:
            config: The model's config.
            table: Its sites.

        Raises:
            ValueError: an array has another shape than what it is put in place of.
        """
        super().check(config, table)
        places = {"embed": "embed", "heads": "attn.result", "mlps": "mlp.out"}
        for field, site in places.items():
            array = getattr(self, field)
            if array is not None and array.shape != table[site].shape:
                raise ValueError(
                    f"EdgeMask: `instead.{field}` has shape {array.shape}, and what "
                    f"the model writes has {table[site].shape} {table[site].axes}. "
                    "Take it from tokens of the same shape, or broadcast it."
                )

    def init(self, config: TransformerConfig, tokens: Int[Array, "..."]) -> Missing:
        """A memory in which nothing is missing yet.

        Args:
            config: The model's config.
            tokens: What it reads.
        """
        c, dtype = config, self.embed.dtype
        writes = jnp.zeros((self.cut.shape[1], *tokens.shape, c.d_model), dtype)
        if self.post is None:
            return Missing(writes, None)
        return Missing(writes, jnp.zeros((*tokens.shape, c.n_heads, c.d_model), dtype))

    def __call__(
        self, site: str, x: Array, memory: Missing, tape: Tape
    ) -> tuple[Array, Missing]:
        """A reader's input without what is cut, or a writer's output noted."""
        del tape
        n = self.n_heads
        readers = {"attn.q_in": 0, "attn.k_in": n, "attn.v_in": 2 * n}
        if site in readers:
            cut = self.cut[:, readers[site] : readers[site] + n]
            lost = jnp.einsum("wh,w...m->...hm", cut, memory.writes)
        elif site == "mlp.in":
            lost = jnp.einsum("w,w...m->...m", self.cut[:, 3 * n], memory.writes)
        elif site == "logits.in":
            lost = jnp.einsum("w,w...m->...m", self.cut_logits, memory.writes)
        else:
            return x, self._noted(site, x, memory)
        return x + lost.astype(x.dtype), memory

    def _noted(self, site: str, x: Array, memory: Missing) -> Missing:
        """The memory after a writer has written."""
        # Writers in order of computation, the embedding before all layers.
        first = 1 + self.depth * self.per_layer
        if site == "embed":
            return _put(memory, 0, (self.embed - x)[None])
        if site == "mlp.out":
            assert self.mlps is not None
            return _put(memory, first + self.n_heads, (self.mlps - x)[None])
        if self.post is not None:
            if site == "attn.result":
                return memory._replace(results=x.astype(memory.writes.dtype))
            # With its divisor known, the norm is linear: each head has its share.
            assert memory.results is not None
            x = self.post.held(memory.results, x[..., None, :])
        return _put(memory, first, jnp.moveaxis(self.heads - x, -2, 0))


def _put(memory: Missing, place: int | Array, writes: Array) -> Missing:
    """The memory with what is missing of the writers from one place on."""
    writes = writes.astype(memory.writes.dtype)
    put = jax.lax.dynamic_update_slice_in_dim
    return memory._replace(writes=put(memory.writes, writes, place, 0))
