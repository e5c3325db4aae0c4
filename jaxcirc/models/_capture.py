"""Read activations out of a forward pass."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Float, Integer

from ._checked import checked_edits
from ._intervention import AbstractIntervention
from ._sites import resolve_site, sites as site_table
from ._tokens import checked_tokens
from ._transformer import Loop, Transformer, forward


def capture(
    model: Transformer,
    tokens: Integer[Array | np.ndarray, "*batch pos"],
    sites: Sequence[str],
    *,
    edits: Sequence[AbstractIntervention] = (),
    loop: Loop = "auto",
) -> tuple[Float[Array, "*batch pos d_vocab"], dict[str, Array]]:
    """Logits and the activations at `sites`; the logits do not depend on `sites`.

    Reading a site does not change the arithmetic, except that `attn.result` takes
    another order of operations. Once compiled, logits with and without capture may
    still differ by rounding, since XLA fuses operations around what it must keep. What
    is captured is held for all layers at once: `sites` tells shapes beforehand.

    Args:
        model: The model.
        tokens: Ids, with any leading batch axes.
        sites: Names from `jaxcirc.models.sites`, or TransformerLens names such as
            `blocks.0.attn.hook_z`.
        edits: Interventions to make on the way; sites show what these leave, and the
            sites inside them can be read too.
        loop: As for `Transformer.__call__`; `auto` is `scan` here.

    Returns:
        Logits, and for each requested name its activation: with a leading `layer` axis
        for sites inside the blocks, without one if the name gives the layer.

    Raises:
        ValueError: a site is unknown, an edit does not fit, or tokens are no array of
            ids in [0, d_vocab), before any tracing.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig, capture
        >>> config = TransformerConfig(d_vocab=10, n_ctx=8, n_layers=3)
        >>> model = Transformer(config, key=jr.key(0))
        >>> tokens = jr.randint(jr.key(1), (2, 8), 0, 10)
        >>> _, acts = capture(model, tokens, ("attn.z", "blocks.1.attn.hook_pattern"))
        >>> acts["attn.z"].shape, acts["blocks.1.attn.hook_pattern"].shape
        ((3, 2, 8, 4, 16), (2, 4, 8, 8))
    """
    tokens = checked_tokens(tokens, model.config.d_vocab, who="capture")
    table = site_table(model, tokens.shape, edits)
    # Every name is looked up before anything is traced, where a typo would be dear.
    resolved = {name: resolve_site(name, table) for name in sites}
    want = tuple(dict.fromkeys(own for own, _ in resolved.values()))
    checked = checked_edits(model.config, table, edits, want)
    logits, recorded = forward(model, tokens, checked, want, loop)
    acts = {
        name: recorded[own] if layer is None else recorded[own][layer]
        for name, (own, layer) in resolved.items()
    }
    return logits, acts
