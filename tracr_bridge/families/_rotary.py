"""Rotary options of a `config.json`, as transformers 5 writes them and as before."""

from collections.abc import Mapping
from typing import Any

from jaxcirc.models import Llama3Rotary, TransformerConfig

from ._fields import Fields, UnsupportedOption


def read_rotary(fields: Fields, *, base: float = 10_000.0) -> dict[str, Any]:
    """Keyword arguments of a config for rotary positions, the same in every layer."""
    new = fields.get("rope_parameters", default={})
    old = fields.get("rope_scaling", default={})
    theta = fields.number("rope_theta", "rotary_emb_base", default=base)
    return parse_rotary(fields.family, {"rope_theta": theta} | dict(old) | dict(new))


def parse_rotary(family: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The same from one mapping of options.

    Raises:
        UnsupportedOption: a kind of scaling that the model cannot do.
    """
    kind = options.get("rope_type") or options.get("type") or "default"
    out: dict[str, Any] = {
        "positions": "rotary",
        "rotary_base": float(options["rope_theta"]),
    }
    if kind == "default":
        return out
    if kind == "linear":
        return out | {"rotary_factor": float(options["factor"])}
    if kind == "llama3":
        return out | {
            "rotary_llama3": Llama3Rotary(
                factor=float(options["factor"]),
                low=float(options["low_freq_factor"]),
                high=float(options["high_freq_factor"]),
                n_ctx=int(options["original_max_position_embeddings"]),
            )
        }
    raise UnsupportedOption(
        f"config.json of {family}: rotary scaling {kind!r} is not supported; known are "
        "default, linear and llama3. Others change frequencies with the length of the "
        "sequence or the scale of scores, which the model has no part for."
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
