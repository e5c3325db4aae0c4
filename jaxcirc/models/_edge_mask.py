"""Masks over edges: a forward pass in which destinations see some of the sources."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._core import at_least_float32
from ._config import TransformerConfig
from ._graph import Graph, graph as graph_of
from ._intervention import AbstractIntervention
from ._norm import Norm
from ._tape import Tape
from ._transformer import Transformer
from ._written import Written


class Missing(NamedTuple):
    """What an `EdgeMask` remembers from site to site and from layer to layer.

    Args:
        writes: Put in place minus written, for each source so far; zeros for others.
        results: What the heads of this layer have computed, until the norm behind them
            says what comes of it; None without such a norm.
    """

    writes: Float[Array, "source *batch pos d_model"]
    results: Float[Array, "*batch pos head d_model"] | None


class EdgeMask(AbstractIntervention):
    """Cut edges: let a destination see something else than what a source has written.

    Every destination v of the `graph` reads the residual stream plus

        Σ_u (1 - keep[u, v]) (instead_u - written_u)

    over the sources u before it. With all edges kept this is the clean run, with all of
    them cut that of the tokens that `instead` was taken from, and the gradient with
    respect to `keep` at ones is minus the score of edge attribution patching. Masks may
    be fractions, and a sweep over masks is a `jax.vmap` over `keep`: one program.

    What was written is remembered, one vector for each source, sequence and position.

    Args:
        model: The model that is to run.
        keep: 1 keeps an edge and 0 cuts it; what stands at pairs that are no edges is
            not read. With a leading `span` axis, each position has the mask of the
            span that it is in.
        instead: What to put in place of what is cut, for the same shape of tokens: what
            `written` gives for corrupted tokens, their means, or zeros.
        graph: The graph whose sources and destinations `keep` is about; that of
            `graph(model.config)` by default.
        spans: The span of each position, given exactly if `keep` has a span axis.

    Raises:
        ValueError: `keep` has another shape than the graph, spans are given without a
            span axis or the other way round, or the model's residual stream is no sum
            of what was written.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.models import EdgeMask, Transformer, TransformerConfig
        >>> from jaxcirc.models import graph, written
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> clean, corrupted = jnp.zeros((2, 3), int).at[1].set(3)
        >>> none = jnp.zeros(graph(config).exists.shape)
        >>> cut = EdgeMask(model, none, written(model, corrupted))
        >>> bool(jnp.allclose(model(clean, edits=(cut,)), model(corrupted), atol=1e-4))
        True

    Conmy et al. (2023), "Towards automated circuit discovery"; Syed et al. (2023),
    "Attribution patching outperforms automated circuit discovery".
    """

    embed: Float[Array, "*batch pos d_model"]
    pos_embed: Float[Array, "*ones pos d_model"] | None
    heads: Float[Array, "layer *batch pos head d_model"]
    mlps: Float[Array, "layer *batch pos d_model"] | None
    cut: Float[Array, "layer *span source reader"]
    cut_logits: Float[Array, "*span source"]
    spans: Int[Array, "*batch pos"] | None
    depth: Int[Array, " layer"]
    post: Norm | None
    n_heads: int = eqx.field(static=True)
    n_embeddings: int = eqx.field(static=True)
    per_layer: int = eqx.field(static=True)

    def __init__(
        self,
        model: Transformer,
        keep: Float[Array, "*span source destination"],
        instead: Written,
        graph: Graph | None = None,
        spans: Int[Array, "*batch pos"] | None = None,
    ):
        c = model.config
        graph = graph_of(c) if graph is None else graph
        _check_mask(graph, keep.shape, spans is not None)
        # As shares that are cut: 0 for pairs that are no edges, which add nothing.
        cut = jnp.where(graph.exists, 1 - keep, 0)
        by_layer = cut[..., :-1].reshape(*cut.shape[:-1], c.n_layers, -1)
        by_layer = _for_query_heads(by_layer, c)
        self.embed, self.pos_embed = instead.embed, instead.pos_embed
        self.heads, self.mlps = instead.heads, instead.mlps
        self.cut = jnp.moveaxis(by_layer, -2, 0)
        self.cut_logits = cut[..., -1]
        self.spans = spans
        # Scanned like the mask, so that a layer knows where its sources' places begin.
        self.depth = jnp.arange(c.n_layers)
        self.post = model.blocks.ln1_post
        self.n_heads = c.n_heads
        self.n_embeddings = int((graph.source_layer < 0).sum())
        self.per_layer = (len(graph.sources) - self.n_embeddings) // c.n_layers

    @property
    def sites(self) -> tuple[str, ...]:
        """Where destinations read and sources write."""
        reads = ("attn.q_in", "attn.k_in", "attn.v_in", "logits.in")
        pos = () if self.pos_embed is None else ("pos_embed",)
        mlp = () if self.mlps is None else ("mlp.in", "mlp.out")
        post = () if self.post is None else ("ln1_post.scale",)
        return ("embed", *pos, *reads, "attn.result", *mlp, *post)

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
        if ("pos_embed" in table) != (self.pos_embed is not None):
            raise ValueError(
                "EdgeMask: `instead.pos_embed` is what learned positions are replaced "
                "with: an array for a model that has them, None for another."
            )
        batch = self.embed.shape[:-1]
        if self.spans is not None and self.spans.shape != batch:
            raise ValueError(
                f"EdgeMask: `spans` has shape {self.spans.shape}; it needs one span "
                f"for each token, {batch}."
            )

    def init(self, config: TransformerConfig, tokens: Int[Array, "..."]) -> Missing:
        """A memory in which nothing is missing yet.

        Args:
            config: The model's config.
            tokens: What it reads.
        """
        c, dtype = config, self.embed.dtype
        writes = jnp.zeros((self.cut.shape[-2], *tokens.shape, c.d_model), dtype)
        if self.post is None:
            return Missing(writes, None)
        return Missing(writes, jnp.zeros((*tokens.shape, c.n_heads, c.d_model), dtype))

    def __call__(
        self, site: str, x: Array, memory: Missing, tape: Tape
    ) -> tuple[Array, Missing]:
        """A destination's input without what is cut, or a source's output noted."""
        del tape
        n = self.n_heads
        readers = {"attn.q_in": 0, "attn.k_in": n, "attn.v_in": 2 * n}
        if site in readers:
            lost = self._lost(self.cut[..., readers[site] : readers[site] + n], memory)
        elif site == "mlp.in":
            lost = self._lost(self.cut[..., 3 * n], memory)
        elif site == "logits.in":
            lost = self._lost(self.cut_logits, memory)
        else:
            return x, self._noted(site, x, memory)
        return x + lost.astype(x.dtype), memory

    def _lost(self, cut: Array, memory: Missing) -> Array:
        """What is missing of a destination's input, or of those of all heads."""
        # The mask is float32 whatever the weights are, and so is the sum over sources.
        writes = at_least_float32(memory.writes)
        cut = cut.astype(writes.dtype)
        if self.spans is None:
            many = "h" if cut.ndim == 2 else ""
            return jnp.einsum(f"s{many},s...m->...{many}m", cut, writes)
        # The mask of each position is small beside what the sources have written there.
        here, many = cut[self.spans], "h" if cut.ndim == 3 else ""
        return jnp.einsum(f"...s{many},s...m->...{many}m", here, writes)

    def _noted(self, site: str, x: Array, memory: Missing) -> Missing:
        """The memory after a source has written."""
        # Sources in order of computation, embeddings before all layers.
        first = self.n_embeddings + self.depth * self.per_layer
        if site == "embed":
            return _put(memory, 0, (self.embed - x)[None])
        if site == "pos_embed":
            return self._positions_noted(x, memory)
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

    def _positions_noted(self, x: Array, memory: Missing) -> Missing:
        """The memory after positions have been added to the embedding."""
        assert self.pos_embed is not None
        missing = jnp.broadcast_to(self.pos_embed - x, memory.writes.shape[1:])
        if self.n_embeddings == 2:
            return _put(memory, 1, missing[None])
        # One source writes both.
        return _put(memory, 0, memory.writes[:1] + missing[None])


def _put(memory: Missing, place: int | Array, writes: Array) -> Missing:
    """The memory with what is missing of the sources from one place on."""
    writes = writes.astype(memory.writes.dtype)
    put = jax.lax.dynamic_update_slice_in_dim
    return memory._replace(writes=put(memory.writes, writes, place, 0))


def _for_query_heads(cut: Array, c: TransformerConfig) -> Array:
    """Columns of a layer with key and value inputs repeated for each query head.

    The forward pass has an input for each query head, whichever graph the mask is of.
    """
    n, columns = c.n_heads, cut.shape[-1]
    inputs = columns - bool(c.sizes.d_mlp)
    group = 2 * n // (inputs - n)
    keys = jnp.repeat(cut[..., n:inputs], group, axis=-1)
    return jnp.concatenate([cut[..., :n], keys, cut[..., inputs:]], axis=-1)


def _check_mask(graph: Graph, shape: tuple[int, ...], spans: bool) -> None:
    """Refuse a mask that is of another graph, or not by span where spans are given.

    Raises:
        ValueError: the shape is another.
    """
    if shape[-2:] != graph.exists.shape:
        raise ValueError(
            f"EdgeMask: `keep` has shape {shape}; the model's graph has "
            f"{len(graph.sources)} sources and {len(graph.destinations)} destinations, "
            "see `jaxcirc.models.graph`."
        )
    if len(shape) != 2 + spans:
        raise ValueError(
            f"EdgeMask: `keep` has shape {shape}, and spans are "
            f"{'given' if spans else 'not given'}. A mask by span has the axes (span, "
            "source, destination) and comes with `spans`, another one has no span axis."
        )
