"""Rotary options of a `config.json`, as transformers 5 writes them and as before."""

from collections.abc import Mapping
from typing import Any

from jaxcirc.models import Llama3Rotary, TransformerConfig

from ._fields import Fields, UnsupportedOption


def read_rotary(fields: Fields, *, base: float = 10_000.0) -> dict[str, Any]:
    """Keyword arguments of a config for rotary positions, the same in every layer."""
    fields.need("partial_rotary_factor", 1.0, "whole heads are turned")
    theta = fields.positive("rope_theta", default=base)
    path, options = rotary_options(fields)
    return parse_rotary(fields, path, {"rope_theta": theta} | options)


def rotary_options(fields: Fields) -> tuple[str, dict[str, Any]]:
    """The mapping that says how positions turn, and its name.

    Where both are there, the older one counts, as in transformers.
    """
    new, old = fields.mapping("rope_parameters"), fields.mapping("rope_scaling")
    return ("rope_scaling", old) if old else ("rope_parameters", new)


def parse_rotary(
    fields: Fields, path: str, options: Mapping[str, Any], *, whole: bool = True
) -> dict[str, Any]:
    """Keyword arguments of a config for rotary positions, from one mapping of options.

    Args:
        fields: The config, which tells of options that are not read here.
        path: The mapping's name in it.
        options: The mapping.
        whole: Whether whole heads are turned; otherwise the options say the share.

    Raises:
        UnsupportedOption: a kind of scaling that the model cannot do, or a value that
            is none.
    """
    f = fields.inner(path, options)
    if whole:
        f.need("partial_rotary_factor", 1.0, "whole heads are turned")
    kind = f.get("rope_type", "type", default="default", null="default")
    base = f.positive("rope_theta")
    out: dict[str, Any] = {"positions": "rotary", "rotary_base": base}
    if not whole:
        out["rotary_fraction"] = f.positive("partial_rotary_factor")
    if kind == "default":
        return out
    if kind == "linear":
        return out | {"rotary_factor": f.positive("factor")}
    if kind == "llama3":
        # If the original context is left out, it is the present one.
        known = "max_position_embeddings" in fields
        first = {"default": fields.get("max_position_embeddings")} if known else {}
        return out | {
            "rotary_llama3": Llama3Rotary(
                factor=f.positive("factor"),
                low=f.positive("low_freq_factor"),
                high=f.positive("high_freq_factor"),
                n_ctx=f.size("original_max_position_embeddings", **first),
            )
        }
    raise UnsupportedOption(
        f"config.json of {fields.family}: rotary scaling {kind!r:.60} is not "
        "supported; known are default, linear and llama3. Others change frequencies "
        "with the length of the sequence or the scale of scores, for which the model "
        "has no part."
    )


def write_rotary(config: TransformerConfig, layer: int = 0) -> dict[str, Any]:
    """The options of one layer, as transformers 5 writes them."""

    def of_layer(value: Any) -> Any:
        return value[layer] if isinstance(value, tuple) else value

    out = {"rope_type": "default", "rope_theta": of_layer(config.rotary_base)}
    scaling, factor = config.rotary_llama3, of_layer(config.rotary_factor)
    if scaling is not None:
        return out | {
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low,
            "high_freq_factor": scaling.high,
            "original_max_position_embeddings": scaling.n_ctx,
        }
    return out if factor == 1 else out | {"rope_type": "linear", "factor": factor}
