"""Adapter folders as PEFT writes them: `adapter_config.json` beside safetensors."""

import collections
import json
import math
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import safetensors.numpy

from jaxcirc._core import create_folder, named_leaves, write_atomically
from jaxcirc.adapters import Adapter, LowRank
from jaxcirc.checkpoints import CheckpointError
from jaxcirc.checkpoints.formats import Tensors, open_safetensors
from jaxcirc.models import Transformer, TransformerConfig

from ._peft_layout import Factors, Seat, seat_of
from ._pretrained import express
from ._tensor_files import read_json
from ._tensor_names import compiled
from .families import UnsupportedOption

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_FRONT = "base_model.model."
# What changes the forward pass, with the one value at which it does not.
_NEEDED = {
    "peft_type": "LORA",
    "bias": "none",
    "use_dora": False,
    "lora_bias": False,
    "modules_to_save": None,
    "layer_replication": None,
    "trainable_token_indices": None,
    "alora_invocation_tokens": None,
    "use_qalora": False,
    "target_parameters": None,
}
# These take their first factors out of the base weights, which then are others.
_MOVES_BASE = ("pissa", "corda", "olora", "loftq", "lora_ga")


def load_adapter(folder: str, model: Transformer) -> Adapter:
    """The adapter of a folder that PEFT wrote, for a model of ours.

    Tensors are found by the names of the model's family, and every one of them must be
    used. Where a tensor of theirs holds several weights of ours (GPT-2's `c_attn`), all
    of them share its A. Layers without factors get zeros, and layers of smaller rank
    are filled up with zeros; alphas that differ between layers go into B.

    Args:
        folder: With `adapter_config.json` and `adapter_model.safetensors`.
        model: The base model, as `load` gives it.

    Returns:
        The adapter, which `jaxcirc.adapters.merge` adds to the model.

    Raises:
        CheckpointError: a file is missing or damaged, or it is another model's adapter.
        UnsupportedOption: the adapter is not of the plain low-rank kind.
        ValueError: no family can express the model's config.

    Example:
        >>> import jax.random as jr, tempfile
        >>> from jaxcirc.adapters import lora
        >>> from jaxcirc.models import MODELS, Transformer
        >>> from tracr_bridge.checkpoints import load_adapter, save_adapter
        >>> llama = next(row for row in MODELS if row.name == "llama")
        >>> model = Transformer(
        ...     llama.build(d_vocab=7, n_ctx=8, n_layers=1, d_model=8, n_heads=2),
        ...     key=jr.key(0),
        ... )
        >>> folder = tempfile.mkdtemp()
        >>> save_adapter(lora(model, rank=2, scale=3.0, key=jr.key(1)), folder)
        >>> found = load_adapter(folder, model)
        >>> {name: (c.rank, c.scale) for name, c in found.changes.items()}
        {'blocks.attn.W_Q': (2, 3.0), 'blocks.attn.W_V': (2, 3.0)}
    """
    config = model.config
    raw = read_json(posixpath.join(folder, CONFIG))
    _check(raw)
    file = posixpath.join(folder, WEIGHTS)
    try:
        tensors = open_safetensors(file)
    except FileNotFoundError as error:
        raise CheckpointError(f"{file} is missing.") from error
    seats, shapes = _seats(config), _shapes(config)
    left, changes = set(tensors), {}
    for seat in seats:
        left -= _own_weights(seat, model, tensors, shapes)
        layers = [
            _of_module(seat, name, raw, tensors, left, shapes)
            for name in _modules(seat, config)
        ]
        if any(layers):
            changes |= _stacked(seat, layers)
    if left or not changes:
        what = ", ".join(sorted(left)[:4]) or "nothing"
        raise CheckpointError(
            f"{file} holds {what}, for which this model has no matrix. Is it another "
            "model's adapter? Changes of embeddings are not read."
        )
    order = [name for name in shapes if name in changes]
    return Adapter({name: changes[name] for name in order}, config)


def save_adapter(adapter: Adapter, folder: str, *, base: str = "") -> None:
    """Write an adapter as a folder that PEFT's `from_pretrained` reads.

    Weights that one tensor of the family holds together become one pair of factors:
    they share A where it is the same, and else its rank is the sum of theirs. Ranks and
    alphas that differ between modules go into `rank_pattern` and `alpha_pattern`.

    Args:
        adapter: The adapter.
        folder: Where to write; it is created if it is not there.
        base: The folder or hub id of the base model, which PEFT loads by itself.

    Raises:
        ValueError: no family can express the model's config, or the adapter changes
            embeddings, which PEFT keeps in another form.
        OSError: the folder cannot be written.
    """
    seats, shapes = _seats(adapter.config), _shapes(adapter.config)
    tensors: dict[str, np.ndarray] = {}
    scales: dict[Seat, float] = {}
    left = set(adapter.changes)
    for seat in seats:
        found = [adapter.changes.get(leaf) for leaf in seat.rule.leaves()]
        if not any(found):
            continue
        left -= set(seat.rule.leaves())
        scales[seat] = max(change.scale for change in found if change is not None)
        for layer, name in enumerate(_modules(seat, adapter.config)):
            parts = [_of_layer(seat, c, layer, scales[seat]) for c in found]
            theirs = seat.write(parts, shapes)
            tensors[f"{_FRONT}{name}.lora_A.weight"] = theirs.A
            tensors[f"{_FRONT}{name}.lora_B.weight"] = theirs.B
    if left:
        raise ValueError(
            f"save_adapter: PEFT keeps changes of {', '.join(sorted(left))} in another "
            "form. Merge the adapter and write the model with `save`."
        )
    raw = _written(tensors, scales, base)
    create_folder(folder)
    data = safetensors.numpy.save(tensors, metadata={"format": "pt"})
    write_atomically(posixpath.join(folder, WEIGHTS), data)
    text = json.dumps(raw, indent=2, sort_keys=True) + "\n"
    write_atomically(posixpath.join(folder, CONFIG), text.encode())


def _seats(config: TransformerConfig) -> list[Seat]:
    """Seats of the family that writes this config."""
    shapes, (family, _) = _shapes(config), express(config)
    # PEFT names modules as they are in memory.
    live = {disk: memory for memory, disk in family.in_memory.items()}
    seats = [
        seat_of(rule._replace(theirs=live.get(rule.theirs, rule.theirs)))
        for rule in family.rules
    ]
    return [seat for seat in seats if seat and set(seat.rule.leaves()) <= set(shapes)]


def _shapes(config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    like = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))
    return {name: leaf.shape for name, leaf in named_leaves(like).items()}


def _modules(seat: Seat, config: TransformerConfig) -> list[str]:
    names = seat.rule.names(config.n_layers)
    return [name.removesuffix(".weight") for name in names]


def _check(raw: Mapping[str, Any]) -> None:
    """Refuse what is more than a product of two factors.

    Raises:
        UnsupportedOption: it is.
    """
    for name, value in _NEEDED.items():
        # An empty list or mapping says the same as null.
        if raw.get(name, value) != value and raw[name] not in ([], {}, None):
            raise UnsupportedOption(
                f"{CONFIG}: `{name}` is {raw[name]!r}, and plain low-rank adapters "
                f"have {value!r}. Merge it with PEFT, and load the merged model."
            )
    begun = str(raw.get("init_lora_weights", True)).lower()
    if begun.startswith(_MOVES_BASE):
        raise UnsupportedOption(
            f"{CONFIG}: `init_lora_weights` is {begun!r}, which changes the base "
            "weights. Convert it with PEFT, or load the merged model."
        )


def _own_weights(
    seat: Seat,
    model: Transformer,
    tensors: Tensors,
    shapes: Mapping[str, tuple[int, ...]],
) -> set[str]:
    """Base weights that PEFT keeps beside factors of an unembedding.

    Raises:
        CheckpointError: they are others than the model's, as after adding tokens.
    """
    key = f"{_FRONT}{seat.module}.base_layer.weight"
    if key not in tensors:
        return set()
    leaves = named_leaves(model)
    own = seat.rule.write([np.asarray(leaves[n]) for n in seat.rule.leaves()], shapes)
    if not np.array_equal(tensors[key], own):
        raise CheckpointError(
            f"{WEIGHTS}: {key} differs from the model's own weight. Load the model "
            "that the adapter was trained on."
        )
    return {key}


def _of_module(
    seat: Seat,
    name: str,
    raw: Mapping[str, Any],
    tensors: Tensors,
    left: set[str],
    shapes: Mapping[str, tuple[int, ...]],
) -> tuple[list[Factors], float] | None:
    """Our factors of one module and their scale, or None where it has none.

    Raises:
        CheckpointError: the factors are not of the module's sizes.
    """
    keys = [f"{_FRONT}{name}.lora_{letter}.weight" for letter in "AB"]
    if not set(keys) <= set(tensors):
        return None
    left -= set(keys)
    A, B = (np.asarray(tensors[key]) for key in keys)
    n_out, n_in = seat.rule.shape(shapes)[:: -1 if seat.transposed else 1]
    if A.ndim != 2 or A.shape[1] != n_in or B.shape != (n_out, len(A)):
        raise CheckpointError(
            f"{WEIGHTS}: factors of {name} have shapes {list(A.shape)} and "
            f"{list(B.shape)}, of a matrix from {n_in} to {n_out}. Is it another "
            "model's adapter?"
        )
    return seat.read(A, B, shapes), _scale(raw, name, len(A))


def _scale(raw: Mapping[str, Any], module: str, rank: int) -> float:
    """What PEFT multiplies the product of a module's factors by."""
    alpha = raw.get("lora_alpha", 8)
    for pattern, own in (raw.get("alpha_pattern") or {}).items():
        if compiled(rf"(?:.*\.)?(?:{pattern})").fullmatch(module):
            alpha = own
            break
    return alpha / (math.sqrt(rank) if raw.get("use_rslora") else rank)


def _stacked(
    seat: Seat, layers: Sequence[tuple[list[Factors], float] | None]
) -> dict[str, LowRank]:
    """Factors of all layers, with zeros where a layer has fewer directions or none."""
    given = [layer for layer in layers if layer is not None]
    scale = max(scale for _, scale in given)
    rank = max(factors[0].A.shape[1] for factors, _ in given)
    changes = {}
    for i, leaf in enumerate(seat.rule.leaves()):
        like = given[0][0][i]
        A = np.zeros((len(layers), len(like.A), rank), np.float32)
        B = np.zeros((len(layers), rank, like.B.shape[1]), np.float32)
        for layer, found in enumerate(layers):
            if found is not None:
                own = found[0][i].A.shape[1]
                A[layer, :, :own] = found[0][i].A
                # Exactly 1 where all modules have one scale, as nearly all do.
                B[layer, :own] = found[0][i].B * np.float32(found[1] / scale)
        one = (lambda x: x) if seat.rule.per_layer else (lambda x: x[0])
        changes[leaf] = LowRank(jnp.asarray(one(A)), jnp.asarray(one(B)), scale)
    return changes


def _of_layer(
    seat: Seat, change: LowRank | None, layer: int, scale: float
) -> Factors | None:
    """Factors of one layer, in units of a common scale."""
    if change is None:
        return None
    A, B = np.asarray(change.A), np.asarray(change.B)
    if seat.rule.per_layer:
        A, B = A[layer], B[layer]
    return Factors(A, B if change.scale == scale else B * (change.scale / scale))


def _written(
    tensors: Mapping[str, np.ndarray], scales: Mapping[Seat, float], base: str
) -> dict[str, Any]:
    """What PEFT's config says of these tensors."""
    ranks = {}
    for seat in scales:
        first = f"{_FRONT}{seat.module.format(layer=0)}.lora_A.weight"
        ranks[seat] = len(tensors[first])
    common = collections.Counter(ranks.values()).most_common(1)[0][0]
    pattern = {seat: _pattern(seat) for seat in scales}
    alphas = {seat: scales[seat] * ranks[seat] for seat in scales}
    alpha = collections.Counter(alphas.values()).most_common(1)[0][0]
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base or None,
        "inference_mode": True,
        "bias": "none",
        # The ends of names, which PEFT compares; `attn.c_proj` is not the MLP's.
        "target_modules": [seat.module.split("{layer}.")[-1] for seat in scales],
        "fan_in_fan_out": any(seat.transposed for seat in scales),
        "r": common,
        "lora_alpha": alpha,
        "rank_pattern": {pattern[s]: r for s, r in ranks.items() if r != common},
        "alpha_pattern": {pattern[s]: a for s, a in alphas.items() if a != alpha},
    }


def _pattern(seat: Seat) -> str:
    """A regular expression of the module's names in all layers."""
    return re.escape(seat.module).replace(re.escape("{layer}"), r"\d+")
