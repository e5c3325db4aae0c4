"""Does a converted model compute what the original does? Site by site."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jaxcirc.models import Transformer, capture

from ._pretrained import express
from ._torch_modules import import_optional


class Difference(NamedTuple):
    """How far two models are apart at one site.

    Args:
        site: The site, by our name.
        layer: The layer; None outside the blocks.
        difference: Largest absolute difference over examples, positions and dimensions.
        scale: Largest absolute value of the original there.
    """

    site: str
    layer: int | None
    difference: float
    scale: float

    @property
    def relative(self) -> float:
        """The difference in units of the scale, or the difference if that is 0."""
        return self.difference / self.scale if self.scale else self.difference


class Parity(NamedTuple):
    """Where two models were compared, in order of computation.

    Args:
        rows: One per site and layer; the last one is the logits.
        tolerance: Relative difference from which they count as different. A NaN counts
            as different.
    """

    rows: tuple[Difference, ...]
    tolerance: float

    @property
    def first_difference(self) -> Difference | None:
        """The first site at which the models differ, or None if they agree."""
        for row in self.rows:
            # Asked this way round, NaN is a difference.
            if not row.relative <= self.tolerance:
                return row
        return None

    @property
    def agree(self) -> bool:
        """Whether the models agree at every site."""
        return self.first_difference is None

    def __str__(self) -> str:
        lines = [f"{'site':<22}{'max |difference|':>18}{'of scale':>12}"]
        first = self.first_difference
        for row in self.rows:
            name = row.site if row.layer is None else f"{row.site} {row.layer}"
            mark = "  <- differs first" if row is first else ""
            lines.append(
                f"{name:<22}{row.difference:>18.3e}{row.relative:>12.1e}{mark}"
            )
        verdict = (
            f"They agree to {self.tolerance:.0e} at every site."
            if first is None
            else f"They differ by more than {self.tolerance:.0e} of the scale."
        )
        return "\n".join([*lines, verdict])


def check_parity(
    model: Transformer,
    original: Any,
    tokens: Int[Array, "batch pos"] | Int[np.ndarray, "batch pos"],
    *,
    tolerance: float = 1e-5,
) -> Parity:
    """Compare a model with the one that it was converted from, at every residual site.

    Both run in float32 on their own device; print the result for a table. The first row
    that differs tells where a conversion goes wrong: embeddings and positions come
    before `resid_pre 0`, attention before `resid_mid`, MLPs before `resid_post`, the
    final norm and the unembedding before the logits.

    Args:
        model: The converted model.
        original: A module of transformers, or another `Transformer`.
        tokens: Ids that both know.
        tolerance: Relative difference from which they count as different. In float32
            with eager attention 1e-5 holds for all families; bfloat16 needs 2e-2.

    Returns:
        The differences, in order of computation.

    Raises:
        ImportError: the original is a module and PyTorch is not installed.
        ValueError: the original gives no hidden states, or is of another size.

    Example:
        >>> import equinox as eqx
        >>> import jax.numpy as jnp
        >>> import jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> from tracr_bridge import check_parity
        >>> config = TransformerConfig(
        ...     d_vocab=3, n_ctx=4, n_layers=1, d_model=2, n_heads=1, norm="none"
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> other = eqx.tree_at(lambda m: m.W_U, model, 2 * model.W_U)
        >>> check_parity(other, model, jnp.array([[0, 1, 2]])).first_difference.site
        'logits'
    """
    ids = np.asarray(tokens)
    ours = _ours(model, ids)
    if isinstance(original, Transformer):
        theirs = _ours(original, ids)
    else:
        theirs = _hidden_states(original, ids, model)
    rows = []
    for site, layer in _order(ours):
        if site not in theirs:
            continue
        a, b = ours[site], theirs[site]
        a, b = (a, b) if layer is None else (a[layer], b[layer])
        if b.ndim == a.ndim - 1 and b.size == a.size:
            # Some models flatten batch and positions on the way.
            b = b.reshape(a.shape)
        if a.shape != b.shape:
            raise ValueError(
                f"check_parity: {site} has shape {a.shape} here and {b.shape} there; "
                "these are models of different sizes, or the site is not the same "
                "place in both."
            )
        rows.append(
            Difference(site, layer, float(np.abs(a - b).max()), float(np.abs(b).max()))
        )
    return Parity(tuple(rows), tolerance)


def _ours(model: Transformer, ids: np.ndarray) -> dict[str, np.ndarray]:
    """Residual sites and logits of a `Transformer`, on the host."""
    wanted = ["resid_pre", "resid_post"]
    c = model.config
    # In parallel blocks nothing is between attention and MLP.
    wanted += ["resid_mid"] if c.sizes.d_mlp and not c.parallel else []
    with jax.default_matmul_precision("highest"):
        logits, acts = capture(model, jnp.asarray(ids), wanted)
    acts = {name: np.asarray(x, np.float32) for name, x in acts.items()}
    return acts | {"logits": np.asarray(logits, np.float32)}


def _order(ours: dict[str, np.ndarray]):
    """Sites with their layers in the order in which a model computes them."""
    for layer in range(len(ours["resid_pre"])):
        for site in ("resid_pre", "resid_mid", "resid_post"):
            if site in ours:
                yield site, layer
    yield "logits", None


def _first(out: Any) -> Any:
    """The residual stream of what a block returns, which may be a tuple."""
    return out[0] if isinstance(out, tuple) else out


def _hidden_states(module: Any, ids: np.ndarray, model: Transformer) -> dict[str, Any]:
    """What a module of transformers says of its residual stream, under our names."""
    torch = import_optional("torch", "check_parity")
    family, _ = express(model.config)
    mids: list[Any] = []
    ends: list[Any] = []
    handles = []
    modules = dict(module.named_modules())
    for layer in range(model.config.n_layers):
        mid = modules.get(family.resid_mid.format(layer=layer))
        block = modules.get(family.block.format(layer=layer))
        if mid is not None and not model.config.parallel:
            reads = lambda _module, given: mids.append(given[0])
            handles.append(mid.register_forward_pre_hook(reads))
        if block is not None:
            writes = lambda _module, _given, out: ends.append(_first(out))
            handles.append(block.register_forward_hook(writes))
    try:
        with torch.no_grad():
            device = next(module.parameters()).device
            given = torch.as_tensor(ids, dtype=torch.long, device=device)
            out = module(given, output_hidden_states=True, use_cache=False)
    # Hooks would stay on somebody else's module.
    finally:
        for handle in handles:
            handle.remove()
    if out.hidden_states is None:
        raise ValueError("check_parity: the original gives no hidden states.")
    # The last one comes after the final norm.
    states = {"resid_pre": out.hidden_states[:-1], "resid_mid": mids}
    states["resid_post"] = ends
    found = {
        site: np.stack([x.float().cpu().numpy() for x in xs])
        for site, xs in states.items()
        if len(xs) == model.config.n_layers
    }
    return found | {"logits": out.logits.float().cpu().numpy()}
