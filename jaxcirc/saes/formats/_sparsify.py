"""Folders of sparsify: `cfg.json` beside `sae.safetensors`, one for each site."""

import os
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from ...checkpoints import CheckpointError
from ...checkpoints.formats import open_safetensors
from .._dictionary import Dictionary
from .._nonlinearity import KeepTop
from .._unit_rows import unit_rows
from ._format import FormatSpec
from ._parts import array, settings, whole, write, write_settings

CFG, WEIGHTS = "cfg.json", "sae.safetensors"


def _recognises(path: str) -> bool:
    return all(os.path.isfile(os.path.join(path, name)) for name in (CFG, WEIGHTS))


def _read(path: str) -> tuple[Dictionary, dict[str, Any]]:
    """The dictionary of a site's folder, and its settings.

    `W_dec` is [d_sae, d_in] as it stands, and `num_latents` of 0 means the width times
    `expansion_factor`.

    Raises:
        CheckpointError: the folder is damaged, or its activation is not top-k.
    """
    cfg, file = settings(path, CFG), os.path.join(path, CFG)
    if cfg.get("activation", "topk") != "topk":
        raise CheckpointError(
            f"{file}: `activation` is {cfg['activation']!r}; of sparsify's, 'topk' is "
            "read here."
        )
    d_in, k = whole(cfg, "d_in", file), whole(cfg, "k", file)
    name = "num_latents" if cfg.get("num_latents") else "expansion_factor"
    d_sae = whole(cfg, name, file) * (1 if name == "num_latents" else d_in)
    if k > d_sae:
        raise CheckpointError(f"{file}: `k` is {k}, of {d_sae} latents.")
    tensors = open_safetensors(os.path.join(path, WEIGHTS))
    dictionary = Dictionary(
        array(tensors, "encoder.weight", (d_sae, d_in)).T,
        array(tensors, "encoder.bias", (d_sae,)),
        array(tensors, "W_dec", (d_sae, d_in)),
        array(tensors, "b_dec", (d_in,)),
        array(tensors, "W_skip", (d_in, d_in)) if "W_skip" in tensors else None,
        KeepTop(jnp.asarray(k, jnp.int32), k),
        centred=not cfg.get("transcode", False),
    )
    return dictionary, cfg


def _write(dictionary: Dictionary, folder: str, metadata: Mapping[str, Any]) -> None:
    """Write a site's folder; latents that are scaled are written with rows of length 1.

    Raises:
        ValueError: the dictionary is none of top-k, or of two widths or several sites.
    """
    kind = dictionary.nonlinearity
    shape = dictionary.W_enc.shape
    if not isinstance(kind, KeepTop) or dictionary.W_dec.shape != shape[::-1]:
        raise ValueError(
            "save: sparsify's folders hold top-k dictionaries of one width; got "
            f"{type(kind).__name__} from {list(shape[:-1])} to "
            f"{list(dictionary.W_dec.shape[1:])}. Use format='saelens'."
        )
    dictionary = unit_rows(dictionary) if dictionary.scales else dictionary
    weights = {
        "encoder.weight": dictionary.W_enc.T,
        "encoder.bias": dictionary.b_enc,
        "W_dec": dictionary.W_dec,
        "b_dec": dictionary.b_dec,
    }
    if dictionary.W_skip is not None:
        weights["W_skip"] = dictionary.W_skip
    d_in, d_sae = shape
    ours = {
        "activation": "topk",
        "num_latents": d_sae,
        "k": int(kind.k),
        "skip_connection": dictionary.W_skip is not None,
        "transcode": not dictionary.centred,
        "d_in": d_in,
    }
    defaults = {"expansion_factor": 32, "normalize_decoder": True, "multi_topk": False}
    write(folder, WEIGHTS, weights)
    write_settings(folder, CFG, {**defaults, **metadata, **ours})


SPEC = FormatSpec("sparsify", "folders of sparsify", _recognises, _read, _write)
