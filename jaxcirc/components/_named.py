"""Components by name: rows of the catalogue, sites, and weights."""

import functools
from collections.abc import Callable
from typing import Any

from .._core import Catalogue, find, unknown
from ..models import TransformerConfig, sites
from . import _induction_heads, _ov, _ov_velocity, _pico, _qk
from ._component import AbstractComponent, ComponentSpec, Data, Position
from ._site import site, site_of
from ._weight import all_paths, weight, weight_paths

_OWN = (
    _ov.SPEC,
    _qk.SPEC,
    _ov_velocity.SPEC,
    _induction_heads.SPEC,
    _pico.SPEC,
)
COMPONENTS = Catalogue("jaxcirc.components", _OWN, of=ComponentSpec)


def component(
    name: str, config: TransformerConfig, **options: Any
) -> AbstractComponent:
    """A component by name, known to be there.

    A name of the catalogue stands for its row. Any other is a site, which has
    activations (the default) and gradients, or a path of weights, its ending or a
    pattern of paths, which have weights (the default) and gradients.

    Args:
        name: A row of `COMPONENTS`, a site (`resid_post`, `attn.z`, or a name of
            TransformerLens), or weights (`blocks.attn.W_Q`, `W_Q`, `blocks.mlp.*`).
        config: The model's config.
        options: Those of the row. Of sites and weights: `data`, `position` (an index or
            `all`), `heads` (each by itself) and `layers`.

    Returns:
        What `observe` takes.

    Raises:
        ValueError: the model has nothing of that name (the nearest are listed), or not
            of that kind, layer or position.
        TypeError: an option that the component does not have.

    Example:
        >>> from jaxcirc.models import MODELS
        >>> gpt2 = next(row for row in MODELS if row.name == "gpt2")
        >>> config = gpt2.build(d_vocab=7, n_ctx=8, n_layers=1, d_model=8, n_heads=2)
        >>> component("resid_post", config, position=2).label
        'resid_post@2'
    """
    return builder(name)(config, **options)


def builder(name: str) -> Callable[..., AbstractComponent]:
    """(config, keyword options) -> the component of that name.

    The options are the function's keyword parameters, so that a study can check their
    names and types before there is a model. Whether a site or weight of that name
    exists is known only when the function is called with a config.

    Args:
        name: A row of `COMPONENTS`, a site or a path of weights; see `component`.

    Returns:
        The row's `build`, or a function that tries sites first and then weights.

    Example:
        >>> import inspect
        >>> list(inspect.signature(builder("qk")).parameters)
        ['config', 'data', 'heads', 'offset', 'layers']
    """
    if name in COMPONENTS.names:
        return find(COMPONENTS, name, kind="component").build
    return functools.partial(_site_or_weight, name)


def _site_or_weight(
    name: str,
    config: TransformerConfig,
    *,
    data: Data | None = None,
    position: Position = -1,
    heads: bool = False,
    layers: tuple[int, ...] | None = None,
) -> AbstractComponent:
    options = {"data": data, "position": position, "heads": heads, "layers": layers}
    # Sites first: a study that says `mlp.out` means what flows, not a weight's ending.
    if site_of(name, config) is not None:
        return site(name, config, **options)
    if not weight_paths(name, config):
        known = [*COMPONENTS.names, *sites(config), *all_paths(config)]
        raise ValueError(unknown("component", name, known))
    return weight(name, config, **options)
