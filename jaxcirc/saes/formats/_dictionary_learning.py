"""Folders of dictionary_learning: `config.json` beside `ae.pt`."""

import os
from typing import Any

import jax
import jax.numpy as jnp

from ..._core import unknown
from ...checkpoints import CheckpointError
from ...checkpoints.formats import Tensors, open_torch
from .._dictionary import Dictionary
from .._nonlinearity import Above, Gate, KeepTop, Relu
from ._format import FormatSpec
from ._parts import array, settings

CFG, WEIGHTS = "config.json", "ae.pt"
CLASSES = (
    "AutoEncoder",
    "AutoEncoderNew",
    "GatedAutoEncoder",
    "AutoEncoderTopK",
    "BatchTopKSAE",
    "MatryoshkaBatchTopKSAE",
    "JumpReluAutoEncoder",
)


def _recognises(path: str) -> bool:
    return all(os.path.isfile(os.path.join(path, name)) for name in (CFG, WEIGHTS))


def _read(path: str) -> tuple[Dictionary, dict[str, Any]]:
    """The dictionary of a folder, and its settings. Nothing in the file is executed.

    Arrays are taken as they are stored. The library's own reader gives `AutoEncoder`
    rows of length 1, which is `unit_rows` of what is read here.

    Raises:
        CheckpointError: the folder is damaged, or of a class that is not read here.
    """
    cfg, file = settings(path, CFG), os.path.join(path, CFG)
    trainer = cfg.get("trainer")
    trainer = trainer if isinstance(trainer, dict) else {}
    tensors = open_torch(os.path.join(path, WEIGHTS))
    kind = trainer.get("dict_class")
    if kind not in CLASSES:
        raise CheckpointError(f"{file}: {unknown('dict_class', str(kind), CLASSES)}")
    own_names = "W_enc" in tensors
    shape = tensors.shapes.get("W_enc" if own_names else "encoder.weight", ())
    if len(shape) != 2:
        raise CheckpointError(
            f"{tensors.name}: it has neither W_enc nor encoder.weight of two axes."
        )
    d_in, d_sae = shape if own_names else shape[::-1]
    read = _with_own_names if own_names else _with_layers
    return read(kind, tensors, d_in, d_sae), cfg


def _with_own_names(kind: str, tensors: Tensors, d_in: int, d_sae: int) -> Dictionary:
    """Of the classes whose matrices are parameters of their own."""
    jumps = kind == "JumpReluAutoEncoder"
    shape = (d_sae,) if jumps else ()
    theta = array(tensors, "threshold", shape, dtype=jnp.float32)
    return Dictionary(
        array(tensors, "W_enc", (d_in, d_sae)),
        array(tensors, "b_enc", (d_sae,)),
        array(tensors, "W_dec", (d_sae, d_in)),
        array(tensors, "b_dec", (d_in,)),
        None,
        Above(jnp.broadcast_to(jax.nn.relu(theta), (d_sae,))),
        # Its jump-ReLU reads activations as they are.
        centred=not jumps,
    )


def _with_layers(kind: str, tensors: Tensors, d_in: int, d_sae: int) -> Dictionary:
    """Of the classes that are made of linear layers."""
    bias = {
        "AutoEncoder": "bias",
        "AutoEncoderNew": "decoder.bias",
        "GatedAutoEncoder": "decoder_bias",
    }.get(kind, "b_dec")
    gated = kind == "GatedAutoEncoder"
    return Dictionary(
        array(tensors, "encoder.weight", (d_sae, d_in)).T,
        None if gated else array(tensors, "encoder.bias", (d_sae,)),
        array(tensors, "decoder.weight", (d_in, d_sae)).T,
        array(tensors, bias, (d_in,)),
        None,
        _nonlinearity(kind, tensors, d_sae),
        centred=kind != "AutoEncoderNew",
    )


def _nonlinearity(kind: str, tensors: Tensors, d_sae: int):
    """What the class does to pre-activations.

    Raises:
        CheckpointError: k is more than there are latents.
    """
    if kind == "GatedAutoEncoder":
        names = ("gate_bias", "mag_bias", "r_mag")
        return Gate(*(array(tensors, name, (d_sae,)) for name in names))
    if kind == "AutoEncoderTopK":
        k = int(array(tensors, "k", ()))
        if not 0 < k <= d_sae:
            raise CheckpointError(f"{tensors.name}: `k` is {k}, of {d_sae} latents.")
        return KeepTop(jnp.asarray(k, jnp.int32), k)
    if kind == "BatchTopKSAE":
        theta = array(tensors, "threshold", (), dtype=jnp.float32)
        # Below 0 until its training has found one: then whatever is positive is kept.
        return Above(jnp.full(d_sae, jax.nn.relu(theta)))
    return Relu()


SPEC = FormatSpec(
    "dictionary_learning", "folders of dictionary_learning", _recognises, _read, None
)
