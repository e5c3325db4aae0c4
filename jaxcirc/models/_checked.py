"""Interventions as users hand them over, known to fit a model before any tracing."""

from collections.abc import Mapping, Sequence

from ._config import TransformerConfig
from ._edits import AbstractEdit
from ._intervention import AbstractIntervention
from ._sites import SiteInfo, resolve_site

_SPLIT_INPUTS = frozenset({"attn.q_in", "attn.k_in", "attn.v_in"})
# What has one entry per key head, unless its input was split by query head.
_OF_INPUT = {"attn.k_in": ("attn.k", "attn.rot_k"), "attn.v_in": ("attn.v",)}


def checked_edits(
    config: TransformerConfig,
    table: Mapping[str, SiteInfo],
    edits: Sequence[AbstractIntervention],
    want: Sequence[str] = (),
) -> tuple[AbstractIntervention, ...]:
    """The interventions under their own site names, each known to fit.

    Args:
        config: The model's config.
        table: Its sites, and those inside the interventions.
        edits: What was asked for.
        want: Own names of the sites that are to be recorded.

    Raises:
        ValueError: an unknown site, arrays that do not fit it, or two changes that
            cannot be combined.
    """
    checked = tuple(_resolved(edit, table, config.n_layers) for edit in edits)
    # By their own names now, so that an edit looks its site up in the table.
    for edit in checked:
        edit.check(config, table)
    changed = {site for edit in checked for site in edit.sites}
    _check_together(changed)
    if config.sizes.n_kv_heads < config.n_heads:
        _check_grouped(changed, changed | set(want))
    return checked


def _resolved(
    edit: AbstractIntervention, table: Mapping[str, SiteInfo], n_layers: int
) -> AbstractIntervention:
    for site in edit.sites:
        name, layer = resolve_site(site, table)
        if layer is not None and isinstance(edit, AbstractEdit):
            return edit.at_layer(name, layer, n_layers)
        if name != site:
            raise ValueError(
                f"{type(edit).__name__}: give the layer ('blocks.0.{site}') or "
                f"use {name!r} with arrays for every layer."
            )
    return edit


def _check_together(changed: set[str]) -> None:
    if changed & _SPLIT_INPUTS and changed & {"ln1.scale", "ln1.normalized"}:
        raise ValueError(
            "edits at attn.q_in, attn.k_in or attn.v_in give every head its own "
            "normalised input, which an edit at ln1 would not reach; use only one."
        )


def _check_grouped(changed: set[str], used: set[str]) -> None:
    for source, results in _OF_INPUT.items():
        if source in changed and used & set(results):
            both = " and ".join(sorted(used & set(results)))
            raise ValueError(
                f"an edit at {source} gives every query head a key or value of its "
                f"own, and {both} has one for each group; use only one of them."
            )
