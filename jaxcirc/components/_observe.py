"""A model on a batch, as named stacks of matrices: what metrics are taken of."""

import functools
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from .._core import fold_name, named_leaves, widened
from ..models import Add, Transformer, capture, sites
from ..objectives import CrossEntropy
from ..tasks import Batch
from ._circuits import ov, ov_gradient, ov_velocity, qk, weight_gradients
from ._component import Component, check_position, site_of, weight_paths
from ._factored import Factored
from ._heads import induction_heads
from ._pico import pico_ov


class Part(eqx.Module):
    """Matrices of one kind, with named axes before their rows and columns.

    Args:
        values: Dense, or factored.
        dims: Names of the leading axes, such as `layer` and `head`.
        data: Weights, activations or gradients. Rows of activations are examples.
        layers: Which layers these are, of how many; None if all.
    """

    values: Array | Factored
    dims: tuple[str, ...] = eqx.field(static=True)
    data: str = eqx.field(static=True)
    layers: tuple[tuple[int, ...], int] | None = eqx.field(static=True, default=None)

    def dense(self) -> Array:
        """The matrices, multiplied out where they are factored."""
        return self.values.dense() if isinstance(self.values, Factored) else self.values

    def on_every_layer(self, results: Array) -> Array:
        """Results for these matrices, with NaN at layers that were not asked for."""
        if self.layers is None:
            return results
        chosen, number = self.layers
        whole = jnp.full((number, *results.shape[1:]), jnp.nan, results.dtype)
        return whole.at[jnp.array(chosen)].set(results)


def observe(
    model: Transformer,
    batch: Batch,
    components: Sequence[Component],
    *,
    key: Key[Array, ""],
) -> dict[str, Part]:
    """Every component of the model on a batch: one forward and one backward for all.

    Args:
        model: The model.
        batch: Examples, with one batch axis.
        components: What to look at; see `component`.
        key: Of the random tokens by which induction heads are found.

    Returns:
        Label -> matrices. A component whose name matches several weights gives each
        under its own path.

    Raises:
        ValueError: a component's position is outside the batch's sequences.
    """
    for c in components:
        if c.data != "weights":
            check_position(c, batch.tokens.shape[-1], "sequences")
    reads = [c for c in components if c.data == "activations"]
    acts = _activations(model, batch, reads)
    slopes = [c for c in components if c.data == "gradients"]
    site_slopes = [c for c in slopes if site_of(c.name, model.config) is not None]
    at_sites = _site_gradients(model, batch, site_slopes) if site_slopes else {}
    moving = [c for c in components if c.name == "ov_velocity" or c in slopes]
    of_weights = [c for c in moving if c not in site_slopes and c.name != "ov"]
    gradient = weight_gradients(model, batch) if of_weights else None
    parts: dict[str, Part] = {}
    for c in components:
        if c.name == "ov":
            found = {c.label: _of_ov(c, model, batch, acts)}
        elif c.name == "qk":
            found = {c.label: Part(qk(model, offset=c.offset), _HEAD, c.data)}
        elif c.name == "ov_velocity":
            assert gradient is not None
            found = {c.label: Part(ov_velocity(model, gradient), _HEAD, c.data)}
        elif c.name == "induction_heads":
            found = {c.label: _of_induction_heads(c, model, acts, key)}
        elif site_of(c.name, model.config) is not None:
            source = acts if c.data == "activations" else at_sites
            found = {c.label: _of_site(c, model, source[c.name])}
        else:
            found = _of_weights(c, model, model if c.data == "weights" else gradient)
        parts |= {name: _choose_layers(part, c.layers) for name, part in found.items()}
    return parts


_HEAD = ("layer", "head")


def _activations(model: Transformer, batch: Batch, reads: list[Component]) -> dict:
    compound = ("ov", "induction_heads")
    wanted = ["attn.result" if c.name in compound else c.name for c in reads]
    return capture(model, batch.tokens, tuple(wanted))[1] if wanted else {}


def _site_gradients(model: Transformer, batch: Batch, slopes: list[Component]) -> dict:
    """Of the sum of the examples' losses, so that each row is its own example's."""
    model = widened(model)
    table = sites(model, batch.tokens.shape)

    def zeros(name: str) -> Array:
        place = site_of(name, model.config)
        assert place is not None
        shape = table[place[0]].shape
        return jnp.zeros(shape if place[1] is None else shape[1:], model.W_E.dtype)

    def total(deltas: dict[str, Array]) -> Array:
        edits = tuple(Add(name, delta) for name, delta in deltas.items())
        return CrossEntropy()(functools.partial(model, edits=edits), batch).sum()

    return jax.grad(total)({c.name: zeros(c.name) for c in slopes})


def _of_site(c: Component, model: Transformer, x: Array) -> Part:
    """[layer?, example, ...] -> [layer?, head?, row, column]."""
    place = site_of(c.name, model.config)
    assert place is not None
    info = sites(model)[place[0]]
    axes = [a for a in info.axes if a != "layer"]
    layer = info.axes[:1] == ("layer",) and place[1] is None
    dims = ["layer"] if layer else []
    x = x if layer else x[None]
    positions = "query_pos" if "query_pos" in axes else "pos"
    axis = 2 + axes.index(positions)
    # Positions first behind the examples, then heads, then what is left.
    x = jnp.moveaxis(x, axis, 2)
    rest = [a for a in axes if a != positions]
    head = next((a for a in ("head", "kv_head") if a in rest), None)
    if head is not None:
        x = jnp.moveaxis(x, 3 + rest.index(head), 3)
    split = head is not None and (c.heads or positions == "query_pos")
    lead = x.shape[:3] + (x.shape[3:4] if split else ())
    x = x.reshape(*lead, -1)
    if c.position == "all":
        x = x.reshape(x.shape[0], -1, *x.shape[3:])
    else:
        x = x[:, :, c.position]
    if split:
        assert head is not None
        x = jnp.moveaxis(x, 2, 1)
        dims.append(head)
    return Part(x if layer else x[0], tuple(dims), c.data)


def _of_weights(c: Component, model: Transformer, tree) -> dict[str, Part]:
    leaves = named_leaves(tree)
    suffix = ".gradients" if c.data == "gradients" else ""
    found = {}
    for path in weight_paths(c.name, model.config):
        x = leaves[path]
        layer = path.startswith("blocks.")
        lead, dims = (x.shape[:1], ["layer"]) if layer else ((), [])
        body = x.ndim - len(lead)
        # W_Q, W_K and W_V are [d_model, head, d_head], and W_O starts with heads.
        if body == 3:
            place = len(lead) + (0 if path.endswith("W_O") else 1)
            if c.heads:
                x = jnp.moveaxis(x, place, len(lead))
                grouped = path.endswith(("W_K", "W_V"))
                dims.append("kv_head" if grouped else "head")
            elif path.endswith("W_O"):
                x = x.reshape(*lead, -1, x.shape[-1])
            else:
                x = x.reshape(*lead, x.shape[-3], -1)
        elif body == 2 and ".attn.b_" in path:
            x = x.reshape(*lead, 1, -1)
        elif body == 1:
            x = x[..., None, :]
        found[path + suffix] = Part(x, tuple(dims), c.data)
    return found


def _of_ov(c: Component, model: Transformer, batch: Batch, acts: dict) -> Part:
    if c.pico:
        return Part(pico_ov(model, batch, c.data, c.position), _HEAD, c.data)
    if c.data == "weights":
        return Part(ov(model), _HEAD, c.data)
    if c.data == "gradients":
        return Part(ov_gradient(model, batch), _HEAD, c.data)
    return Part(_written(c, acts["attn.result"]), _HEAD, c.data)


def _of_induction_heads(c: Component, model: Transformer, acts: dict, key) -> Part:
    layers, heads = induction_heads(
        model, c.number, periods=c.periods, key=fold_name(key, "induction_heads")
    )
    if c.data == "weights":
        circuit = ov(model)
        chosen = jax.tree.map(lambda x: x[layers, heads], circuit)
        return Part(chosen, ("rank",), c.data)
    written = _written(c, acts["attn.result"])
    return Part(written[layers, heads], ("rank",), c.data)


def _written(c: Component, result: Array) -> Array:
    """[layer, example, pos, head, d_model] -> [layer, head, row, d_model]."""
    x = jnp.moveaxis(result, 3, 1)
    if c.position == "all":
        return x.reshape(*x.shape[:2], -1, x.shape[-1])
    return x[:, :, :, c.position]


def _choose_layers(part: Part, layers: tuple[int, ...] | None) -> Part:
    if layers is None or "layer" not in part.dims:
        return part
    number = jax.tree.leaves(part.values)[0].shape[0]
    chosen = jax.tree.map(lambda x: x[jnp.array(layers)], part.values)
    return Part(chosen, part.dims, part.data, (layers, number))
