"""A row of the family catalogue: how a kind of checkpoint maps to our model."""

import reprlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxcirc.models import TransformerConfig

from ._fields import Fields, UnsupportedOption
from ._rule import Rule


class Family(NamedTuple):
    """A row of the catalogue: how HuggingFace keeps one kind of model.

    Args:
        name: `model_type` in its `config.json`.
        architecture: The class of transformers, as in `architectures`.
        read: Its `config.json` -> our config.
        write: Our config -> its `config.json`; need not check that it can be
            expressed, since whoever calls it reads the outcome again and compares.
        rules: Its tensors, by their names on disk. Rules for weights that a config does
            without are not used.
        prefix: What a bare base model leaves out in front of its tensors' names.
        in_memory: Names in a live module -> on disk, where they differ.
        buffers: Patterns of tensors that hold no weights.
        block: The module of a layer in a live model.
        resid_mid: The module that reads the residual stream after attention.
        no_part: Keys of its `config.json` that have no part in the forward pass,
            beside those that no family's have.
        yields_to: Families that write a model which both can express.

    Example:
        >>> from tracr_bridge import FAMILIES
        >>> [row.name for row in FAMILIES][:3]
        ['gpt2', 'gpt_neox', 'llama']
    """

    name: str
    architecture: str
    read: Callable[[Fields], TransformerConfig]
    write: Callable[[TransformerConfig], dict[str, Any]]
    rules: tuple[Rule, ...]
    prefix: str
    in_memory: Mapping[str, str] = {}
    buffers: tuple[str, ...] = ()
    block: str = "model.layers.{layer}"
    resid_mid: str = "model.layers.{layer}.post_attention_layernorm"
    no_part: frozenset[str] = frozenset()
    yields_to: tuple[str, ...] = ()

    def config(self, raw: Mapping[str, Any]) -> TransformerConfig:
        """Our config for a parsed `config.json`.

        Args:
            raw: The parsed file.

        Raises:
            UnsupportedOption: it asks for what the model cannot do, or lacks a size.
            ValueError: its sizes do not fit each other.
        """
        fields = Fields(self.name, raw, self.no_part)
        try:
            config = self.read(fields)
        # A config is somebody else's: any value may be of any kind.
        except (TypeError, KeyError, AttributeError, ArithmeticError) as error:
            raise UnsupportedOption(
                f"config.json of {self.name}: a value is missing or not of its kind "
                f"({type(error).__name__}: {error})."
            ) from error
        # A key that nobody asked for may change what the model computes.
        fields.finish()
        return config

    def config_json(self, config: TransformerConfig) -> dict[str, Any] | None:
        """The `config.json` of a config, or None where the family cannot express it.

        Args:
            config: Our config.
        """
        raw = {"model_type": self.name, "architectures": [self.architecture]}
        try:
            raw |= self.write(config)
            # Reading it again finds whatever the family has no key for.
            same = self.read(Fields(self.name, raw)) == config
        except (ValueError, TypeError):
            return None
        return raw if same else None


def sizes(
    fields: Fields, *, n_ctx: int = 2048, n_kv_heads: int | None = None
) -> dict[str, Any]:
    """Sizes and the other options that Llama's descendants share.

    Args:
        fields: The config.
        n_ctx: Longest sequence where the config does not say.
        n_kv_heads: The same of heads of keys; as many as of queries if None.
    """
    heads = fields.size("num_attention_heads")
    width = fields.size("hidden_size")
    return {
        "d_vocab": fields.size("vocab_size"),
        "n_ctx": fields.size("max_position_embeddings", default=n_ctx),
        "n_layers": fields.layers("num_hidden_layers"),
        "d_model": width,
        "n_heads": heads,
        "n_kv_heads": fields.size(
            "num_key_value_heads", default=n_kv_heads or heads, null=heads
        ),
        "d_head": fields.size(
            "head_dim", default=max(width // heads, 1), null=max(width // heads, 1)
        ),
        "d_mlp": fields.size("intermediate_size"),
        "gated": True,
        "attention_bias": False,
        "mlp_bias": False,
        "init_std": fields.number("initializer_range", default=0.02),
    }


def write_sizes(config: TransformerConfig) -> dict[str, Any]:
    """The keys of a `config.json` that `sizes` reads."""
    c = config
    return {
        "vocab_size": c.d_vocab,
        "max_position_embeddings": c.n_ctx,
        "num_hidden_layers": c.n_layers,
        "hidden_size": c.d_model,
        "num_attention_heads": c.n_heads,
        "num_key_value_heads": c.sizes.n_kv_heads,
        "head_dim": c.sizes.d_head,
        "intermediate_size": c.sizes.d_mlp,
        "initializer_range": c.sizes.init_std,
        "tie_word_embeddings": c.tied,
    }


def layer_windows(
    fields: Fields, n_layers: int, window: int | None
) -> tuple[int | None, ...]:
    """The window of each layer, from the key `layer_types`.

    Raises:
        UnsupportedOption: the key does not name each layer, or some have a window and
            nothing says how long.
    """
    kinds = fields.get("layer_types")
    known = {"sliding_attention": window, "full_attention": None}
    right = isinstance(kinds, list) and all(isinstance(kind, str) for kind in kinds)
    if not right or len(kinds) != n_layers or not set(kinds) <= set(known):
        raise fields.refuse(
            "layer_types",
            f"must name {n_layers} layers sliding_attention or full_attention; got "
            f"{reprlib.repr(kinds)}",
        )
    if window is None and "sliding_attention" in kinds:
        raise fields.refuse(
            "layer_types", "has layers with a window, and none is given or switched on"
        )
    return tuple(known[kind] for kind in kinds)
