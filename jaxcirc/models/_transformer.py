"""The transformer: embed, scan the blocks, unembed."""

from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, Float, Int, Integer, Key, PyTree

from .._core import fold_name, normal, rows_of
from ._block import Block
from ._checked import checked_edits
from ._config import TransformerConfig
from ._constants import LayerConstants, layer_constants
from ._intervention import AbstractIntervention, by_layer
from ._linear import linear
from ._norm import Norm, make_norm
from ._site_rows import in_blocks
from ._sites import sites
from ._tape import Tape
from ._tokens import checked_tokens

# A rolled scan's gradient runs up to 1.2 times slower at 2 to 4 layers on a CPU;
# unrolling deeper models would cost compile time instead.
UNROLL_UP_TO = 4

Loop = Literal["auto", "scan", "unrolled", "python"]


class Transformer(eqx.Module):
    """A decoder (or encoder) whose blocks are one stacked pytree.

    Every array in `blocks` has a leading `layer` axis. Tokens may have any leading
    batch axes; `jax.vmap` is for axes along which weights or edits differ. Fresh
    weights are normal with the config's `init_std`, biases 0, norms neutral; each
    weight is drawn from a key of its own, so that another part changes no draw.

    Args:
        config: Shape and parts.
        key: Random key of the initial weights.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(d_vocab=10, n_ctx=8, n_layers=3)
        >>> model = Transformer(config, key=jr.key(0))
        >>> model(jr.randint(jr.key(1), (2, 8), 0, 10)).shape
        (2, 8, 10)
        >>> model.blocks.attn.W_Q.shape
        (3, 64, 4, 16)
    """

    W_E: Float[Array, "d_vocab d_model"]
    W_pos: Float[Array, "n_ctx d_model"] | None
    blocks: Block
    ln_final: Norm | None
    W_U: Float[Array, "d_model d_vocab_out"] | None
    b_U: Float[Array, " d_vocab_out"] | None
    config: TransformerConfig = eqx.field(static=True)

    def __init__(self, config: TransformerConfig, *, key: Key[Array, ""]):
        c = self.config = config

        def drawn(name: str, *shape: int) -> Array:
            return c.sizes.init_std * normal(fold_name(key, name), shape)

        self.W_E = drawn("W_E", c.d_vocab, c.d_model)
        learned = c.positions == "learned"
        self.W_pos = drawn("W_pos", c.n_ctx, c.d_model) if learned else None
        layer_keys = jr.split(fold_name(key, "blocks"), c.n_layers)
        self.blocks = eqx.filter_vmap(lambda k: Block(c, key=k))(layer_keys)
        self.ln_final = make_norm(c) if c.norm_position != "stream" else None
        self.W_U = None if c.tied else drawn("W_U", c.d_model, c.sizes.d_vocab_out)
        self.b_U = jnp.zeros(c.sizes.d_vocab_out) if c.unembed_bias else None

    def __call__(
        self,
        tokens: Integer[Array | np.ndarray, "*batch pos"],
        *,
        edits: Sequence[AbstractIntervention] = (),
        loop: Loop = "auto",
    ) -> Float[Array, "*batch pos d_vocab_out"]:
        """Logits at every position.

        Args:
            tokens: Ids in [0, d_vocab). Others are refused; where they are not known
                yet, under `jit`, their whole sequence is NaN.
            edits: Interventions to make on the way: `Add`, `Replace` and `Scale` change
                a site, `EdgeMask` cuts edges, and an `AbstractIntervention` may do
                anything.
            loop: `scan` compiles one block for all layers; `unrolled` a copy for each,
                which makes gradients of shallow models faster; `auto` chooses.
                `python` writes the layers out without any loop, which
                `jax.experimental.jet` needs.

        Raises:
            ValueError: tokens are no array of ids in [0, d_vocab), the sequence is
                longer than learned positions reach, or an edit names an unknown site or
                does not fit its shape.
        """
        tokens = checked_tokens(tokens, self.config.d_vocab)
        if edits:
            table = sites(self, tokens.shape, edits)
            edits = checked_edits(self.config, table, edits)
        return forward(self, tokens, edits, (), loop)[0]

    def __hash__(self):
        """A model has no hash: `jax.jit(model)` would make constants of its weights.

        Raises:
            TypeError: always, with what to write instead.
        """
        raise TypeError(
            "Transformer: a model holds arrays and has no hash, so it cannot be a key, "
            "a static argument or what `jax.jit` compiles: weights would become "
            "constants of the program. Use `equinox.filter_jit(model)(tokens)`, or "
            "`jax.jit(lambda model, tokens: model(tokens))(model, tokens)`."
        )


def forward(
    model: Transformer,
    tokens: Int[Array, "*batch pos"],
    edits: Sequence[AbstractIntervention],
    want: Sequence[str],
    loop: Loop = "auto",
) -> tuple[Array, dict[str, Array]]:
    """Logits and the wanted sites, those of the blocks stacked by layer.

    Args:
        model: The model.
        tokens: Ids, as `checked_tokens` leaves them.
        edits: Interventions, as `checked_edits` leaves them.
        want: Own names of sites that there are.
        loop: As for `Transformer.__call__`.
    """
    memories = [edit.init(model.config, tokens) for edit in edits]
    outer = Tape(want, edits, memories)
    x = embed(model, tokens, outer)
    block_want = [name for name in want if in_blocks(name)]
    carry = (x, tuple(outer.memories))
    (x, after), recorded = _run_blocks(model, carry, edits, block_want, loop)
    outer.memories = list(after)
    return unembed_taped(model, x, outer), recorded | outer.recorded


def embed_tokens(
    model: Transformer, tokens: Int[Array, "*batch pos"]
) -> Float[Array, "*batch pos d_model"]:
    """What the tokens write into the residual stream, without positions.

    Args:
        model: Whose embedding.
        tokens: Ids.
    """
    x, scale = rows_of(model.W_E, tokens), model.config.sizes.embedding_scale
    # Rounded to the weights' own type, as the models that have it were trained.
    return x if scale == 1 else x * jnp.asarray(scale, x.dtype)


def embed(model: Transformer, tokens: Array, tape: Tape) -> Array:
    """The residual stream that enters the first layer."""
    c, n_pos = model.config, tokens.shape[-1]
    x = tape("embed", embed_tokens(model, tokens))
    if model.W_pos is None:
        return x
    if n_pos > c.n_ctx:
        raise ValueError(
            f"Transformer: got {n_pos} tokens, but learned positions reach "
            f"`n_ctx` = {c.n_ctx}. Shorten the sequence."
        )
    shape = (1,) * (x.ndim - 2) + (n_pos, c.d_model)
    return x + tape("pos_embed", model.W_pos[:n_pos].reshape(shape))


def _run_blocks(
    model: Transformer,
    carry: tuple[Array, tuple[PyTree, ...]],
    edits: Sequence[AbstractIntervention],
    want: list[str],
    loop: Loop,
) -> tuple[tuple[Array, tuple[PyTree, ...]], dict[str, Array]]:
    """The residual stream and the memories after all layers, and what was recorded."""
    shared, varying = layer_constants(model.config, carry[0].shape[-2])
    parts = [by_layer(edit) for edit in edits]
    others = [other for _, other in parts]

    def layer(carry, stacked):
        return run_layer(carry, stacked, shared, others, want)

    n_layers = model.config.n_layers
    stacked = (model.blocks, varying, [layered for layered, _ in parts])
    if loop == "auto":
        # What is captured is stacked by the rolled loop in place; unrolled, each layer
        # writes it and then it is copied.
        loop = "unrolled" if n_layers <= UNROLL_UP_TO and not want else "scan"
    if loop != "python":
        unroll = n_layers if loop == "unrolled" else 1
        return jax.lax.scan(layer, carry, stacked, unroll=unroll)
    recorded = []
    for index in range(n_layers):
        here = jtu.tree_map(lambda leaf, i=index: leaf[i], stacked)
        carry, one = layer(carry, here)
        recorded.append(one)
    return carry, jtu.tree_map(lambda *xs: jnp.stack(xs), *recorded)


def run_layer(
    carry: tuple[Array, tuple[PyTree, ...]],
    stacked: tuple[PyTree, LayerConstants, Sequence[AbstractIntervention]],
    shared: LayerConstants,
    others: Sequence[AbstractIntervention],
    want: Sequence[str],
) -> tuple[tuple[Array, tuple[PyTree, ...]], dict[str, Array]]:
    """The stream and the memories after one layer, and what was recorded in it.

    Args:
        carry: The stream and the memories before it.
        stacked: The layer's block, constants of its own and slices of the edits.
        shared: Constants that all layers have.
        others: What edits have besides slices by layer.
        want: Sites to record.
    """
    x, memories = carry
    block, own, layered = stacked
    here = [eqx.combine(a, b) for a, b in zip(layered, others, strict=True)]
    tape = Tape(want, here, memories)
    x = block(x, eqx.combine(own, shared), tape)
    return (x, tuple(tape.memories)), tape.recorded


def unembed(
    model: Transformer, x: Float[Array, "*batch d_model"]
) -> Float[Array, "*batch d_vocab_out"]:
    """The logits that a residual stream stands for: final norm, then unembedding.

    They have the bias and the soft cap that the model's own logits have. A tied model
    is unembedded by its transposed embedding.

    Args:
        model: Whose norm and unembedding.
        x: The stream after the last layer, or after any other for a logit lens.

    Returns:
        One logit for each output; of the last layer's stream, the model's own.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> unembed(model, jnp.zeros((3, 4))).tolist()[0]  # nothing says nothing
        [0.0, 0.0, 0.0, 0.0, 0.0]
    """
    return unembed_taped(model, x, Tape())


def unembed_taped(model: Transformer, x: Array, tape: Tape) -> Array:
    """`unembed`, whose sites a tape reads and changes."""
    x = tape("logits.in", x)
    if model.ln_final is not None:
        x = model.ln_final(x, tape, "ln_final")
    W_U = model.W_E.T if model.W_U is None else model.W_U
    logits = linear(x, W_U, model.b_U)
    cap = model.config.logit_softcap
    return tape("logits", logits if cap is None else cap * jnp.tanh(logits / cap))
