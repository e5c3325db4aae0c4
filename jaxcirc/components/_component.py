"""What a metric may be taken of, as a study names it."""

import fnmatch
import re
from typing import Literal

import equinox as eqx
import jax.random as jr

from .._core import named_leaves, unknown
from ..models import Transformer, TransformerConfig, resolve_site, sites
from ._heads import check_periods

Data = Literal["weights", "activations", "gradients"]
# Compound components, and the data that each has.
CIRCUITS: dict[str, tuple[Data, ...]] = {
    "ov": ("weights", "activations", "gradients"),
    "qk": ("weights",),
    "ov_velocity": ("weights",),
    "induction_heads": ("weights", "activations"),
}


class Component(eqx.Module):
    """Weights, activations or gradients of one part of a model, at every layer.

    Args:
        name: A site (`resid_post`, `attn.z`, or a TransformerLens name), a path of
            weights or a pattern of paths (`blocks.attn.W_Q`, `W_Q`, `blocks.mlp.*`), or
            one of `ov`, `qk`, `ov_velocity` and `induction_heads`.
        data: Weights, activations (one row per example), or gradients: of weights for
            the mean loss, at sites for each example's own loss. For `ov` these are
            W_V W_O, what each head writes, and the true dL/d(W_V W_O).
        position: Token position of activations, counted from the end if negative; `all`
            makes every position a row.
        heads: Take every head by itself where there is an axis of heads.
        layers: Only these layers; None for all.
        offset: For `qk`: positions from key to query, which matter with rotary ones.
        number: For `induction_heads`: how many of the highest score.
        periods: For `induction_heads`: lengths of the block that repeats, by which
            heads are found; those of the task, or the longest that fits, if none.
        pico: For `ov`: what Pico Analyze computes under this name instead.
    """

    name: str = eqx.field(static=True)
    data: Data = eqx.field(static=True)
    position: int | Literal["all"] = eqx.field(static=True, default=-1)
    heads: bool = eqx.field(static=True, default=False)
    layers: tuple[int, ...] | None = eqx.field(static=True, default=None)
    offset: int = eqx.field(static=True, default=0)
    number: int = eqx.field(static=True, default=1)
    periods: tuple[int, ...] = eqx.field(static=True, default=())
    pico: bool = eqx.field(static=True, default=False)

    @property
    def label(self) -> str:
        """What results call it."""
        label = self.name
        if self.name in ("ov", "induction_heads") and self.data != "weights":
            label += f".{self.data}"
        elif self.data == "gradients":
            label += ".gradients"
        if self.data != "weights" and self.position != -1:
            label += f"@{self.position}"
        if self.offset:
            label += f"-{self.offset}"
        return label


def component(
    name: str,
    config: TransformerConfig,
    *,
    data: Data | None = None,
    position: int | Literal["all"] = -1,
    heads: bool = False,
    layers: tuple[int, ...] | None = None,
    offset: int = 0,
    number: int = 1,
    periods: tuple[int, ...] = (),
    pico: bool = False,
) -> Component:
    """A component by name, known to be there.

    `data` follows from the name where it is not given: activations for a site, weights
    for a path and for circuits. See `Component` for the rest.

    Raises:
        ValueError: the model has nothing of that name (the nearest are listed), or not
            of that kind, layer or position.
    """
    found = Component(
        name,
        data or _data(name, config),
        position,
        heads,
        layers,
        offset,
        number,
        periods,
        pico,
    )
    if name in CIRCUITS:
        if found.data not in CIRCUITS[name]:
            raise ValueError(
                f"component {name!r} has no {found.data}, but {_list(CIRCUITS[name])}."
            )
    elif site_of(name, config) is not None:
        if found.data == "weights":
            raise ValueError(
                f"component {name!r} is a site, which has activations and gradients "
                "but no weights. For weights give a path, such as 'blocks.attn.W_Q'."
            )
    elif found.data == "activations":
        raise ValueError(
            f"component {name!r} is a weight, which has no activations. For those give "
            "a site, such as 'resid_post'."
        )
    _check_numbers(found, config)
    return found


def weight_paths(name: str, config: TransformerConfig) -> list[str]:
    """Paths of the weights that a name stands for: itself, its ending, or a pattern.

    Raises:
        ValueError: there is none; the message lists sites, weights and circuits.
    """
    model = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))
    paths = list(named_leaves(model))
    patterns = (name, f"{name}.*", f"*.{name}")
    found = [p for p in paths if any(fnmatch.fnmatchcase(p, q) for q in patterns)]
    if not found:
        known = [*CIRCUITS, *sites(config), *paths]
        raise ValueError(unknown("component", name, known))
    return found


def site_of(name: str, config: TransformerConfig) -> tuple[str, int | None] | None:
    """A site's own name, and the layer that a TransformerLens name gives; or None.

    Raises:
        ValueError: the name gives a layer that the model lacks.
    """
    table = sites(config)
    known = {*table, *(row.transformer_lens for row in table.values())}
    if re.sub(r"^blocks\.\d+\.", "", name) not in known:
        return None
    return resolve_site(name, table)


def _data(name: str, config: TransformerConfig) -> Data:
    if site_of(name, config) is not None:
        return "activations"
    if name not in CIRCUITS:
        weight_paths(name, config)
    return "weights"


def _check_numbers(found: Component, config: TransformerConfig) -> None:
    bad = [layer for layer in found.layers or () if not 0 <= layer < config.n_layers]
    if bad:
        raise ValueError(
            f"component {found.name!r}: no layers {bad}; the model has layers 0 to "
            f"{config.n_layers - 1}."
        )
    heads = config.n_layers * config.n_heads
    if found.name == "induction_heads" and not 1 <= found.number <= heads:
        raise ValueError(
            f"component 'induction_heads': `number` must be between 1 and {heads}, all "
            f"heads of the model; got {found.number}."
        )
    if found.periods:
        check_periods(found.periods, config.n_ctx, who=f"component {found.name!r}")
    check_position(found, config.n_ctx, "context")


def check_position(found: Component, length: int, what: str) -> None:
    """Refuse a position that sequences of a length do not have.

    Raises:
        ValueError: it is outside; an index on arrays would give another position's.
    """
    if found.position != "all" and not -length <= found.position < length:
        raise ValueError(
            f"component {found.name!r}: position {found.position} is outside the "
            f"{what} of {length}: positions are {-length} to {length - 1}."
        )


def _list(words: tuple[str, ...]) -> str:
    return " and ".join(words)
