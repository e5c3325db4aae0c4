"""Dictionaries to and from files, in everybody's formats."""

import os
from collections.abc import Mapping
from typing import Any

from .._core import find
from ..checkpoints import CheckpointError
from ._dictionary import Dictionary
from .formats import FORMATS, FormatSpec


def load(path: str | os.PathLike) -> Dictionary:
    """The dictionary in a folder or file, whoever has written it.

    Folders of SAELens, sparsify and dictionary_learning are told apart by the files in
    them; a file `layer_3.safetensors` is a transcoder of circuit-tracer. Nothing in
    them is executed, and shapes are compared with the settings before any array is
    read. Arrays keep the type that they have in the file, except that thresholds are
    float32.

    Args:
        path: The folder, or the file.

    Returns:
        The dictionary, which gives the latents that its own library gives.

    Raises:
        CheckpointError: there is no dictionary, it is damaged, or of an architecture
            that is not read here; the message lists those that are.
        FileNotFoundError: nothing is there.

    Example:
        >>> import jax, tempfile
        >>> from jaxcirc import saes
        >>> old = saes.TopK(d_in=8, d_sae=32, k=3).init(jax.random.key(0))
        >>> saes.save(old, folder := tempfile.mkdtemp())
        >>> new = saes.load(folder)
        >>> bool((new.W_dec == old.W_dec).all()), int(new.nonlinearity.k)
        (True, 3)
    """
    path = os.fspath(path)
    return _format_of(path).read(path)[0]


def metadata(path: str | os.PathLike) -> dict[str, Any]:
    """What a folder says of its dictionary besides the arrays.

    These are the settings as their library wrote them: coefficients of the training,
    the model, the site, the data. `save` takes the mapping again, so that nothing is
    lost between two formats or on the way through this library.

    Args:
        path: What `load` takes.

    Returns:
        The settings; empty of a file that has none.

    Raises:
        CheckpointError: there is no dictionary, or it is damaged.
        FileNotFoundError: nothing is there.
    """
    path = os.fspath(path)
    return _format_of(path).read(path)[1]


def save(
    dictionary: Dictionary,
    folder: str | os.PathLike,
    format: str = "saelens",  # noqa: A002
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write a dictionary into a folder, as SAELens or sparsify would.

    What is written loads in that library and encodes to the same latents. Dictionaries
    above thresholds that scale their latents, which batch top-k trains, are written
    with decoder rows of length 1; everything else is read again bit for bit.

    Args:
        dictionary: One dictionary, without an axis of a stack.
        folder: Where to write; it is made if there is none.
        format: `saelens` or `sparsify`.
        metadata: Settings to keep. SAELens has a mapping `metadata` in them for the
            model, the site and, under `model_from_pretrained_kwargs`, the checkpoint's
            revision.

    Raises:
        ValueError: the format is unknown, only read, or has no form for the dictionary.
        OSError: the folder cannot be written.
    """
    spec = find(FORMATS, format, kind="save: format")
    if spec.write is None:
        able = ", ".join(row.name for row in FORMATS.own if row.write is not None)
        raise ValueError(f"save: {format!r} is only read here; write {able}.")
    spec.write(dictionary, os.fspath(folder), metadata or {})


def _format_of(path: str) -> FormatSpec:
    """The row whose files are there.

    Raises:
        CheckpointError: none of them.
        FileNotFoundError: nothing is there.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"load: there is nothing at {path}.")
    for row in FORMATS.own:
        if row.recognises(path):
            return row
    raise CheckpointError(
        f"load: {path} holds no dictionary that is read here. Looked for cfg.json with "
        "sae_weights.safetensors (SAELens) or sae.safetensors (sparsify), config.json "
        "with ae.pt (dictionary_learning), or a file `layer_*.safetensors` itself "
        "(circuit-tracer)."
    )
