"""Folders as `save_pretrained` writes them: `config.json` beside safetensors."""

import json
import os
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import safetensors.numpy

from jaxcirc._core import create_folder, unknown, write_atomically
from jaxcirc.checkpoints import CheckpointError
from jaxcirc.checkpoints.formats import (
    Tensors,
)
from jaxcirc.models import Transformer, TransformerConfig

from ._opened import Opened
from ._tensor_files import WEIGHTS, open_weights, read_json
from ._tensor_names import renamed, unwrapped
from ._weights import assemble, canonical, disassemble
from .families import FAMILIES, Family, UnsupportedOption

CONFIG = "config.json"


def open_folder(
    folder: str,
    *,
    dtype: str | None = "float32",
    ignore: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
) -> Opened:
    """The model of a folder; neither torch nor transformers is needed.

    The config is read at once, and tensors are looked for with the weights.

    Args:
        folder: The folder, with `config.json` and weights.
        dtype: The type of the weights; None keeps the files' own.
        ignore: Patterns of tensors to leave out.
        names: Pattern -> replacement, for tensors that have another name there.

    Raises:
        CheckpointError: a file is missing or damaged, or a tensor is missing, unknown
            or of another shape.
        UnsupportedOption: the config asks for what the model cannot do.
        ValueError: the architecture is unknown.
    """
    raw = read_json(os.path.join(folder, CONFIG))
    family = family_of(raw)
    config = family.config(raw)

    def read() -> Transformer:
        tensors = renamed(open_weights(folder), names)
        return from_family(family, config, tensors, dtype=dtype, ignore=ignore)

    return Opened(config, read)


def from_family(
    family: Family,
    config: TransformerConfig,
    tensors: Tensors,
    *,
    dtype: str | None = "float32",
    ignore: Sequence[str] = (),
) -> Transformer:
    """The model of a family's tensors, as files or live modules name them."""
    tensors = unwrapped(tensors, family.rules, family.prefix, family.in_memory)
    tensors = canonical(
        tensors,
        family.rules,
        config.n_layers,
        prefix=family.prefix,
        in_memory=family.in_memory,
        buffers=(*family.buffers, *ignore),
    )
    if config.tied:
        tensors = _one_of_two_tied(family, tensors)
    return assemble(config, family.rules, tensors, dtype=dtype)


def _one_of_two_tied(family: Family, tensors: Tensors) -> Tensors:
    """The tensors with a tied embedding once; files use either name or both.

    Raises:
        CheckpointError: both are there and differ.
    """
    (embed,) = (r.theirs for r in family.rules if r.ours == ("W_E",))
    (head,) = (r.theirs for r in family.rules if r.ours == ("W_U",))
    if head not in tensors:
        return tensors
    if embed not in tensors:
        return tensors.renamed({embed if n == head else n: n for n in tensors})
    # A diverged model's embedding is no number, and still the same.
    if not np.array_equal(tensors[head], tensors[embed], equal_nan=True):
        raise CheckpointError(
            f"{tensors.name}: config.json ties the unembedding to the embedding, but "
            f"{head} differs from {embed}. Set `tie_word_embeddings` to false."
        )
    return tensors.renamed({name: name for name in tensors if name != head})


def save_folder(model: Transformer, folder: str) -> None:
    """Write a folder that `from_pretrained` of transformers reads.

    Raises:
        ValueError: no family can express the model's config.
        OSError: the folder cannot be written.
    """
    family, raw = express(model.config)
    tensors = disassemble(model, family.rules)
    raw["dtype"] = str(model.W_E.dtype)
    create_folder(folder)
    data = safetensors.numpy.save(tensors, metadata={"format": "pt"})
    write_atomically(posixpath.join(folder, WEIGHTS[0]), data)
    text = json.dumps(raw, indent=2, sort_keys=True) + "\n"
    write_atomically(posixpath.join(folder, CONFIG), text.encode())


def express(config: TransformerConfig) -> tuple[Family, dict[str, Any]]:
    """The family that writes a config, and its `config.json`.

    Of those that can express it, the one that does not yield to another of them.

    Raises:
        ValueError: none can.
    """
    written = [(family, family.config_json(config)) for family in FAMILIES]
    able = {family.name for family, raw in written if raw is not None}
    for family, raw in written:
        if raw is not None and able.isdisjoint(family.yields_to):
            return family, raw
    raise ValueError(
        "this model's config is of no family that can be written: "
        f"{', '.join(f.name for f in FAMILIES)}. Keep it in the native format "
        "(`jaxcirc.checkpoints.TrajectoryWriter`)."
    )


def family_of(raw: Mapping[str, Any]) -> Family:
    """The family that a `config.json` names.

    Raises:
        ValueError: it is none of ours, all of which the message lists.
        UnsupportedOption: `architectures` is no list.
    """
    named, classes = raw.get("model_type"), raw.get("architectures") or []
    if not isinstance(classes, list):
        raise UnsupportedOption("config.json: `architectures` must be a list of names.")
    for family in FAMILIES:
        if family.name == named or family.architecture in classes:
            return family
    known = [family.name for family in FAMILIES]
    message = unknown("architecture", str(named)[:80], known)
    raise ValueError(
        f"config.json: {message} For others, give a name map: "
        "`tracr_bridge.from_tensors`."
    )
