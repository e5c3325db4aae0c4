"""Transcoders of circuit-tracer: one safetensors file for each layer."""

import os
from typing import Any

import jax.numpy as jnp

from ...checkpoints import CheckpointError
from ...checkpoints.formats import open_safetensors
from .._dictionary import Dictionary
from .._nonlinearity import Above, KeepTop, Relu
from ._format import FormatSpec
from ._parts import array

_THRESHOLD = "activation_function.threshold"


def _recognises(path: str) -> bool:
    return path.endswith(".safetensors") and os.path.isfile(path)


def _read(path: str) -> tuple[Dictionary, dict[str, Any]]:
    """The transcoder of a layer's file, whose encoder is stored as [d_sae, d_in].

    Raises:
        CheckpointError: the file is damaged or holds something else.
    """
    tensors = open_safetensors(path)
    shape = tensors.shapes.get("W_enc", ())
    out = tensors.shapes.get("W_dec", ())
    if len(shape) != 2 or len(out) != 2:
        raise CheckpointError(
            f"{path}: it holds no transcoder of one layer, with W_enc and W_dec."
        )
    (d_sae, d_in), d_out = shape, out[1]
    if _THRESHOLD in tensors:
        kind = Above(array(tensors, _THRESHOLD, (d_sae,), dtype=jnp.float32))
    elif "k" in tensors:
        k = int(array(tensors, "k", ()))
        if not 0 < k <= d_sae:
            raise CheckpointError(f"{path}: `k` is {k}, of {d_sae} latents.")
        kind = KeepTop(jnp.asarray(k, jnp.int32), k)
    else:
        kind = Relu()
    dictionary = Dictionary(
        array(tensors, "W_enc", (d_sae, d_in)).T,
        array(tensors, "b_enc", (d_sae,)),
        array(tensors, "W_dec", (d_sae, d_out)),
        array(tensors, "b_dec", (d_out,)),
        array(tensors, "W_skip", (d_out, d_in)) if "W_skip" in tensors else None,
        kind,
    )
    return dictionary, {}


SPEC = FormatSpec(
    "circuit_tracer", "a layer's file of circuit-tracer", _recognises, _read, None
)
