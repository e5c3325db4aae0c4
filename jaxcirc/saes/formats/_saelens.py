"""Folders of SAELens: `cfg.json` beside `sae_weights.safetensors`."""

import os
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from ..._core import unknown
from ...checkpoints import CheckpointError
from ...checkpoints.formats import Tensors, open_safetensors
from .._dictionary import Dictionary
from .._nonlinearity import Above, AbstractNonlinearity, Gate, KeepTop, Relu
from .._unit_rows import unit_rows
from ._format import FormatSpec
from ._parts import array, settings, whole, write, write_settings

CFG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
AUTOENCODERS = (
    "standard",
    "gated",
    "topk",
    "batchtopk",
    "matryoshka_batchtopk",
    "jumprelu",
)
TRANSCODERS = (
    "transcoder",
    "skip_transcoder",
    "jumprelu_transcoder",
    "jumprelu_skip_transcoder",
)
# These change activations when the dictionary is used, by what they find in them.
_NORMALISED = ("layer_norm", "constant_norm_rescale", "covariance_whitening")
# From this version on, SAELens takes a folder as it is and migrates nothing.
_VERSION = "6.54.12"


def _recognises(path: str) -> bool:
    return all(os.path.isfile(os.path.join(path, name)) for name in (CFG, WEIGHTS))


def _read(path: str) -> tuple[Dictionary, dict[str, Any]]:
    """The dictionary of a folder, and its settings.

    Raises:
        CheckpointError: the folder is damaged, or of an architecture or normalisation
            that is not read here.
    """
    cfg, file = settings(path, CFG), os.path.join(path, CFG)
    kind = cfg.get("architecture", "standard")
    if kind not in (*AUTOENCODERS, *TRANSCODERS):
        known = (*AUTOENCODERS, *TRANSCODERS)
        raise CheckpointError(f"{file}: {unknown('architecture', str(kind), known)}")
    if cfg.get("normalize_activations") in _NORMALISED:
        raise CheckpointError(
            f"{file}: `normalize_activations` is {cfg['normalize_activations']!r}, "
            "which depends on each activation and is no part of a dictionary here. "
            "Normalise the activations yourself and set it to 'none'."
        )
    tensors = open_safetensors(os.path.join(path, WEIGHTS))
    d_in, d_sae = whole(cfg, "d_in", file), whole(cfg, "d_sae", file)
    d_out = whole(cfg, "d_out", file) if kind in TRANSCODERS else d_in
    skip = "W_skip" in tensors and kind in TRANSCODERS
    dictionary = Dictionary(
        array(tensors, "W_enc", (d_in, d_sae)),
        None if kind == "gated" else array(tensors, "b_enc", (d_sae,)),
        array(tensors, "W_dec", (d_sae, d_out)),
        array(tensors, "b_dec", (d_out,)),
        array(tensors, "W_skip", (d_out, d_in)) if skip else None,
        _nonlinearity(kind, tensors, cfg, file, d_sae),
        kind in AUTOENCODERS and bool(cfg.get("apply_b_dec_to_input", True)),
        bool(cfg.get("rescale_acts_by_decoder_norm", False)),
    )
    return dictionary, cfg


def _nonlinearity(
    kind: str, tensors: Tensors, cfg: Mapping[str, Any], file: str, d_sae: int
) -> AbstractNonlinearity:
    """What the architecture does to pre-activations."""
    row = lambda name: array(tensors, name, (d_sae,))
    if kind == "gated":
        return Gate(row("b_gate"), row("b_mag"), row("r_mag"))
    if kind == "topk":
        k = whole(cfg, "k", file)
        if k > d_sae:
            raise CheckpointError(f"{file}: `k` is {k}, of {d_sae} latents.")
        return KeepTop(jnp.asarray(k, jnp.int32), k)
    if kind.startswith("jumprelu"):
        if "log_threshold" in tensors:
            # Of trainings before version 6.54, which saved what they optimised.
            return Above(jnp.exp(row("log_threshold").astype(jnp.float32)))
        return Above(array(tensors, "threshold", (d_sae,), dtype=jnp.float32))
    if kind.endswith("batchtopk"):
        one = array(tensors, "topk_threshold", (), dtype=jnp.float32)
        return Above(jnp.full(d_sae, one))
    return Relu()


def _write(dictionary: Dictionary, folder: str, metadata: Mapping[str, Any]) -> None:
    """Write a folder that SAELens loads as it is.

    A dictionary that scales its latents above thresholds is written with rows of length
    1, as SAELens does with those of batch top-k.

    Raises:
        ValueError: SAELens has no architecture for it.
    """
    if isinstance(dictionary.nonlinearity, Above) and dictionary.scales:
        dictionary = unit_rows(dictionary)
    kind = _architecture(dictionary)
    d_in, d_sae = dictionary.W_enc.shape
    weights = {
        name: value
        for name in ("W_enc", "b_enc", "W_dec", "b_dec", "W_skip")
        if (value := getattr(dictionary, name)) is not None
    }
    weights |= _parameters(dictionary.nonlinearity)
    kept = metadata.get("metadata")
    told = kept if isinstance(kept, dict) else {}
    cfg = {
        **{key: value for key, value in metadata.items() if key != "metadata"},
        "architecture": kind,
        "d_in": d_in,
        "d_sae": d_sae,
        "dtype": str(dictionary.W_enc.dtype),
        "device": "cpu",
        "apply_b_dec_to_input": dictionary.centred,
        "normalize_activations": "none",
        "reshape_activations": metadata.get("reshape_activations", "none"),
        "metadata": {"sae_lens_version": _VERSION} | told,
    }
    if kind in TRANSCODERS:
        cfg["d_out"] = dictionary.W_dec.shape[-1]
    if isinstance(dictionary.nonlinearity, KeepTop):
        cfg["k"] = int(dictionary.nonlinearity.k)
        cfg["rescale_acts_by_decoder_norm"] = dictionary.scales
    write(folder, WEIGHTS, weights)
    write_settings(folder, CFG, cfg)


def _architecture(dictionary: Dictionary) -> str:
    """What SAELens calls a dictionary.

    Raises:
        ValueError: it has no name for it.
    """
    kind, transcodes = dictionary.nonlinearity, not dictionary.centred
    if dictionary.W_enc.ndim != 2 or dictionary.W_dec.ndim != 2:
        raise ValueError(_no_name("a crosscoder"))
    square = dictionary.W_enc.shape[0] == dictionary.W_dec.shape[-1]
    if dictionary.W_skip is None and (dictionary.centred or square):
        names = {Relu: "standard", Gate: "gated", KeepTop: "topk", Above: "jumprelu"}
        transcodes = transcodes and not square
        if type(kind) in names and not transcodes:
            return names[type(kind)]
    skip = "" if dictionary.W_skip is None else "skip_"
    if isinstance(kind, Relu) and not dictionary.scales:
        return f"{skip}transcoder"
    if isinstance(kind, Above):
        return f"jumprelu_{skip}transcoder"
    raise ValueError(_no_name(f"a transcoder whose latents are {type(kind).__name__}"))


def _no_name(what: str) -> str:
    """A sentence for what SAELens has not."""
    return (
        f"save: SAELens has no architecture for {what}; it has "
        f"{', '.join((*AUTOENCODERS, *TRANSCODERS))}. The format 'sparsify' takes "
        "top-k transcoders; `jaxcirc.checkpoints.save_tensors` takes any arrays."
    )


def _parameters(kind: AbstractNonlinearity) -> dict[str, Any]:
    """The nonlinearity's arrays by the names that SAELens gives them."""
    if isinstance(kind, Gate):
        return {"b_gate": kind.b_gate, "b_mag": kind.b_mag, "r_mag": kind.r_mag}
    return {"threshold": kind.threshold} if isinstance(kind, Above) else {}


SPEC = FormatSpec("saelens", "folders of SAELens", _recognises, _read, _write)
