"""Loading and saving a model, whatever it is kept in."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from jaxcirc._core import find
from jaxcirc.checkpoints import CheckpointError
from jaxcirc.checkpoints.formats import (
    Tensors,
    in_memory,
    open_llama2c,
)
from jaxcirc.models import Transformer, TransformerConfig

from ._hub import download
from ._pretrained import (
    CONFIG,
    from_family,
    open_folder,
    save_folder,
)
from ._sources import located
from ._tensor_files import WEIGHTS, open_tensors
from ._tensor_names import renamed, unwrapped
from ._torch_modules import state_arrays
from ._transformer_lens import open_hooked
from ._weights import assemble, canonical
from .families import FAMILIES, Rule


def load(
    source: str | os.PathLike[str],
    *,
    revision: str | None = None,
    dtype: str | None = "float32",
    cache: str | None = None,
    ignore: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
) -> Transformer:
    """The model of one published checkpoint, from the HuggingFace hub or a local path.

    The family is found by the architecture that `config.json` names. Every tensor is
    read once, checked against the shape that the config needs, and put where the
    family's table says. Several checkpoints of one run are read by `trajectory`, and a
    compiled RASP program is read by `load_program`.

    Args:
        source: A hub id such as `EleutherAI/pythia-70m` or its page's address; a
            folder as `save_pretrained` writes it, or its config or weights; or a `.bin`
            file of llama2.c.
        revision: A branch, tag or commit of the hub.
        dtype: Of the weights; None keeps the checkpoint's own.
        cache: Where downloads go; the hub's usual cache if None.
        ignore: Patterns (regular expressions) of tensors to leave out, such as the
            head of a reward model: `["^v_head[.]"]`.
        names: Pattern -> replacement, for tensors that have another name there:
            `{"^policy[.]": ""}`. What `torch.compile` and data-parallel training put
            in front of names is known.

    Returns:
        The model, with weights of type `dtype`.

    Raises:
        CheckpointError: a file is missing or damaged, or the hub has no such model or
            revision, or cannot be reached.
        UnsupportedOption: its config asks for what the model cannot do.
        ValueError: its architecture is unknown, or `source` is no model.

    Example:
        >>> import jax.random as jr, tempfile
        >>> from jaxcirc.models import MODELS, Transformer
        >>> from tracr_bridge import load, save
        >>> gpt2 = next(row for row in MODELS if row.name == "gpt2")
        >>> config = gpt2.build(d_vocab=7, n_ctx=8, n_layers=1, d_model=8, n_heads=2)
        >>> folder = tempfile.mkdtemp()
        >>> save(Transformer(config, key=jr.key(0)), folder)
        >>> load(folder).config.d_model
        8
    """
    path = located(source)
    # A local path goes before a hub id that is spelt the same.
    if not os.path.exists(path):
        path = download(path, revision=revision, cache=cache)
    elif revision is not None:
        raise ValueError(f"load: {path} is a local path, which has no revisions.")
    if os.path.isfile(path):
        folder, name = os.path.split(path)
        if name not in (CONFIG, *WEIGHTS):
            return _load_file(path, dtype)
        path = folder or os.curdir
    # Such a folder has weights, and a search for `config.json` would mislead.
    if os.path.exists(os.path.join(path, "trajectory.json")):
        raise ValueError(
            f"load: {path} is a folder of this library's own checkpoints. Read the run "
            "with `trajectory`, or a program that `save_program` wrote with "
            "`load_program`."
        )
    _check_folder(path)
    return open_folder(path, dtype=dtype, ignore=ignore, names=names).read()


def _load_file(path: str, dtype: str | None) -> Transformer:
    """The model of a single file, which llama2.c's are.

    Raises:
        ValueError: the file is of another kind.
    """
    if path.endswith(".bin"):
        return load_llama2c(path, dtype=dtype)
    raise ValueError(
        f"load: {path} is no model by itself. Give the folder of a `{CONFIG}`, or a "
        "`.bin` of llama2.c; for weights alone there are `from_transformer_lens` and "
        "`from_tensors`."
    )


def _check_folder(path: str) -> None:
    """Say so where a folder holds models instead of being one.

    Raises:
        CheckpointError: the folder has no config, and folders inside it have one.
    """
    if os.path.exists(os.path.join(path, CONFIG)):
        return
    inside = sorted(os.listdir(path))
    models = [n for n in inside if os.path.exists(os.path.join(path, n, CONFIG))]
    if models:
        raise CheckpointError(
            f"{os.path.join(path, CONFIG)} is missing. The folder holds "
            f"{len(models)} others that have one, such as {models[0]}: give one of "
            "them, or all to `trajectory`."
        )


def save(model: Transformer, folder: str) -> None:
    """Write a model as a folder that `load` reads, and `from_pretrained` too.

    The folder holds `config.json` and `model.safetensors`, as transformers writes them
    for the family that can express the model. The family is found by writing the config
    and reading it again. A compiled RASP program keeps its vocabulary and labels if
    `save_program` writes it instead.

    Args:
        model: The model.
        folder: Where to write; it is created if it is not there.

    Raises:
        ValueError: no family can express the model's config.
        OSError: the folder cannot be written.

    Example:
        >>> import jax.random as jr, os, tempfile
        >>> from jaxcirc.models import MODELS, Transformer
        >>> from tracr_bridge import save
        >>> gpt2 = next(row for row in MODELS if row.name == "gpt2")
        >>> config = gpt2.build(d_vocab=7, n_ctx=8, n_layers=1, d_model=8, n_heads=2)
        >>> folder = tempfile.mkdtemp()
        >>> save(Transformer(config, key=jr.key(0)), folder)
        >>> sorted(os.listdir(folder))
        ['config.json', 'model.safetensors']
    """
    save_folder(model, folder)


def load_llama2c(path: str, *, dtype: str | None = "float32") -> Transformer:
    """The model of a llama2.c file, which holds seven sizes and then float32 weights.

    Both float versions are read: the original one without a mark, and version 1. The
    model is of the Llama family with interleaved rotary pairs, and it is tied where the
    file has no classifier of its own. `load` calls this for a path that ends in `.bin`.

    Args:
        path: The file.
        dtype: The type of the weights; None keeps float32.

    Returns:
        The model.

    Raises:
        CheckpointError: the file is damaged or holds quantised weights.
        FileNotFoundError: there is none.

    Example:
        For 2 dimensions, 3 hidden units, one layer, one head, 5 tokens and 4 positions,
        50 weights are followed by two tables of 4 rotary angles.

        >>> import pathlib, struct, tempfile
        >>> from tracr_bridge import load_llama2c
        >>> path = pathlib.Path(tempfile.mkdtemp(), "tiny.bin")
        >>> sizes = struct.pack("<7i", 2, 3, 1, 1, 1, 5, 4)
        >>> path.write_bytes(sizes + bytes(4 * (50 + 2 * 4)))
        260
        >>> load_llama2c(str(path)).W_E.shape
        (5, 2)
    """
    h, tensors = open_llama2c(path)
    config = TransformerConfig(
        d_vocab=h.vocab_size,
        n_ctx=h.seq_len,
        n_layers=h.n_layers,
        d_model=h.dim,
        n_heads=h.n_heads,
        n_kv_heads=h.n_kv_heads,
        d_mlp=h.hidden_dim,
        activation="silu",
        gated=True,
        attention_bias=False,
        mlp_bias=False,
        norm="rms",
        positions="rotary",
        # llama2.c turns neighbours, where transformers turns halves and permutes
        # weights.
        rotary_pairing="interleaved",
        tied="lm_head.weight" not in tensors,
    )
    llama = find(FAMILIES, "llama", kind="family")
    return from_family(llama, config, tensors, dtype=dtype)


def from_tensors(
    source: Any,
    config: TransformerConfig,
    rules: Sequence[Rule],
    *,
    ignore: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
    dtype: str | None = "float32",
) -> Transformer:
    """The model of any tensors, by a name map of your own.

    Every weight of the config must be given by one rule, and every tensor must be used
    or ignored, so that a mistake in a map is an error that names it and not a model
    with random weights.

    Args:
        source: What `open_tensors` takes, or what it gave.
        config: The config of the model, which says what shapes weights have.
        rules: For each tensor its name, our weights and the layout: `rule("wte",
            "W_E", "v m -> v m")`.
        ignore: Patterns (regular expressions) of tensors to leave out.
        names: Pattern -> replacement, for names that the rules should not have to say.
        dtype: The type of the weights; None keeps the source's own.

    Returns:
        The model.

    Raises:
        CheckpointError: a tensor is missing, unknown or of another shape, or the file
            is damaged.
        ValueError: `dtype` is unknown, or a pattern is no regular expression.

    Example:
        >>> import numpy as np
        >>> from jaxcirc.models import TransformerConfig
        >>> from tracr_bridge import from_tensors, rule
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=4, n_layers=1, d_model=2, n_heads=1, d_mlp=0,
        ...     norm="none", positions="none", attention_bias=False, tied=True,
        ... )
        >>> tensors = {"wte": np.ones((5, 2)), "out.0": np.ones((2, 2))}
        >>> tensors["qkv.0"] = np.arange(12.0).reshape(6, 2)
        >>> rules = [
        ...     rule("wte", "W_E", "v m -> v m"),
        ...     rule("out.{layer}", "attn.W_O", "m (h d) -> h d m"),
        ... ]
        >>> fused = "attn.W_Q attn.W_K attn.W_V"
        >>> rules.append(rule("qkv.{layer}", fused, "(w h d) m -> w m h d"))
        >>> model = from_tensors(tensors, config, rules)
        >>> model.blocks.attn.W_K[0, :, 0].tolist()
        [[4.0, 6.0], [5.0, 7.0]]
    """
    tensors = source if isinstance(source, Tensors) else open_tensors(source)
    tensors = unwrapped(renamed(tensors, names), rules)
    tensors = canonical(tensors, rules, config.n_layers, buffers=ignore)
    return assemble(config, rules, tensors, dtype=dtype)


def from_transformer_lens(
    source: Any,
    cfg: Mapping[str, Any] | None = None,
    *,
    ignore: Sequence[str] = (),
    dtype: str | None = "float32",
    **options: Any,
) -> Transformer:
    """The model of a TransformerLens `HookedTransformer`'s weights.

    Sizes, biases, norms and learned positions are read off the tensors themselves, so
    weights that were folded or centred are read as they are. What leaves no tensor
    behind is taken from `cfg` or `options`; for norms, positions and the activation
    there is no default.

    Args:
        source: What `open_tensors` takes or gave, or a live `HookedTransformer`.
        cfg: Its config as a mapping (`model.cfg.to_dict()`), for what tensors do not
            show: the activation, norms without weights, scales, rotary positions.
        ignore: Patterns (regular expressions) of tensors to leave out.
        dtype: The type of the weights; None keeps the source's own.
        options: Fields of `TransformerConfig`, which go before both.

    Returns:
        The model.

    Raises:
        CheckpointError: a tensor is missing, unknown or of another shape.
        UnsupportedOption: `cfg` asks for what the model cannot do.
        ValueError: nothing says the norm, the positions or the activation.
    """
    if hasattr(source, "state_dict") and hasattr(source, "cfg"):
        cfg = source.cfg.to_dict() if cfg is None else cfg
        source = in_memory("HookedTransformer", state_arrays(source.state_dict()))
    tensors = source if isinstance(source, Tensors) else open_tensors(source)
    opened = open_hooked(tensors, cfg, ignore=ignore, dtype=dtype, **options)
    return opened.read()
