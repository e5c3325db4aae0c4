"""Reading a `config.json` so that no option is ignored in silence."""

import reprlib
import warnings
from collections.abc import Mapping
from typing import Any

# These keys have no part in the forward pass of a trained model without dropout.
# fmt: off
_NO_PART = frozenset((
    "_attn_implementation", "_attn_implementation_autoset", "_name_or_path",
    "architectures", "attention_dropout", "attention_probs_dropout_prob",
    "attn_implementation", "attn_pdrop", "auto_map", "bad_words_ids",
    "begin_suppress_tokens", "bos_token_id", "cache_implementation",
    "chunk_size_feed_forward", "classifier_dropout", "cross_attention_hidden_size",
    "decoder_start_token_id", "diversity_penalty", "do_sample", "dtype",
    "early_stopping", "embd_pdrop", "encoder_no_repeat_ngram_size", "eos_token_id",
    "exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id",
    "forced_eos_token_id", "gradient_checkpointing", "head_dropout",
    "hidden_dropout", "hidden_dropout_prob", "id2label", "is_decoder",
    "is_encoder_decoder", "label2id", "length_penalty", "max_length", "min_length",
    "model_type", "no_repeat_ngram_size", "num_beam_groups", "num_beams",
    "num_return_sequences", "output_attentions", "output_hidden_states",
    "output_scores", "pad_token_id", "prefix", "pretraining_tp", "problem_type",
    "pruned_heads", "remove_invalid_values", "reorder_and_upcast_attn",
    "repetition_penalty", "resid_pdrop", "return_dict", "return_dict_in_generate",
    "sep_token_id", "summary_activation", "summary_first_dropout",
    "summary_proj_to_labels", "summary_type", "summary_use_proj", "suppress_tokens",
    "task_specific_params", "temperature", "tf_legacy_loss", "tokenizer_class",
    "top_k", "top_p", "torch_dtype", "torchscript", "transformers_version",
    "typical_p", "use_bfloat16", "use_cache",
))
# fmt: on
_ABSENT = object()
_REFUSED = object()
_MOST_LAYERS = 10_000
# Indices of the model are 32-bit integers.
_MOST = 2**31 - 1
# Far below the largest float32, so that products with an option do not overflow.
_LARGEST = 1e30


class UnsupportedOption(ValueError):
    """A checkpoint's config asks for something that the model cannot do."""


class Fields:
    """The keys of one `config.json`, each taken by name; what is left over is told.

    A key that is missing and one that is null are not the same: the first stands for
    the default of transformers, the second for "none" where that has a meaning (no
    window, no cap), and is refused elsewhere.

    Args:
        family: The family whose config it is, for messages.
        raw: The parsed JSON.
        no_part: Further keys that have no part in the forward pass.
        path: The path of a mapping within the config, such as `rope_parameters.`.
    """

    def __init__(
        self,
        family: str,
        raw: Mapping[str, Any],
        no_part: frozenset[str] = frozenset(),
        path: str = "",
    ):
        self.family = family
        self._raw, self._path = dict(raw), path
        left = {key for key, value in self._raw.items() if value is not None}
        self._left = left - no_part - (frozenset() if path else _NO_PART)
        self._inner: list[Fields] = []

    def __contains__(self, name: str) -> bool:
        return self._raw.get(name) is not None

    def refuse(self, name: str, why: str) -> UnsupportedOption:
        """An error that names the key.

        Args:
            name: The key.
            why: What is wrong with it, as the rest of a sentence.
        """
        return UnsupportedOption(
            f"config.json of {self.family}: `{self._path}{name}` {why}."
        )

    def get(self, *names: str, default: Any = _ABSENT, null: Any = _REFUSED) -> Any:
        """The value under the first of these names that is there.

        Args:
            names: Names of the key, the newest first.
            default: The value if none is there.
            null: The value if it is there and null.

        Raises:
            UnsupportedOption: none is there and there is no default, or it is null and
                that means nothing.
        """
        self._left -= set(names)
        there = [name for name in names if name in self._raw]
        for name in there:
            if self._raw[name] is not None:
                return self._raw[name]
        if not there:
            if default is _ABSENT:
                raise self.refuse(names[0], "is missing")
            return default
        if null is _REFUSED:
            raise self.refuse(
                there[0], "is null, which has no meaning here; leave it out or give it"
            )
        return null

    def mapping(self, name: str) -> dict[str, Any]:
        """A mapping, empty if it is missing or null.

        Raises:
            UnsupportedOption: it is anything else.
        """
        value = self.get(name, default={}, null={})
        if not isinstance(value, Mapping):
            raise self.refuse(name, f"must be a mapping; got {_shown(value)}")
        return dict(value)

    def inner(self, name: str, raw: Mapping[str, Any]) -> "Fields":
        """Keys of a mapping within, whose leftovers are told with these.

        Args:
            name: The key of the mapping.
            raw: The mapping.
        """
        found = Fields(self.family, raw, path=f"{self._path}{name}.")
        self._inner.append(found)
        return found

    def size(self, *names: str, default: Any = _ABSENT, null: Any = _REFUSED) -> Any:
        """A whole number, at least 1, or what a missing or null one stands for.

        Args:
            names: Names of the key, the newest first.
            default: The value if none is there.
            null: The value if it is there and null.

        Raises:
            UnsupportedOption: it is anything else.
        """
        value = self.get(*names, default=default, null=null)
        if value is not None and (type(value) is not int or not 1 <= value <= _MOST):
            raise self.refuse(
                names[0],
                f"must be a whole number, at least 1 and at most {_MOST:,}; got "
                f"{_shown(value)}",
            )
        return value

    def layers(self, name: str) -> int:
        """A number of layers, which a damaged file must not make a loop of years.

        Raises:
            UnsupportedOption: it is no whole number, or more than any model has.
        """
        found = self.size(name)
        if found > _MOST_LAYERS:
            raise self.refuse(name, f"= {found:,} is more than any model has")
        return found

    def number(
        self,
        *names: str,
        default: Any = _ABSENT,
        null: Any = _REFUSED,
        least: float = 0,
    ) -> Any:
        """A finite number, `least` or more, or what an absent one stands for.

        Args:
            names: Names of the key, the newest first.
            default: The value if none is there.
            null: The value if it is there and null.
            least: The smallest that is taken.

        Raises:
            UnsupportedOption: it is anything else.
        """
        value = self.get(*names, default=default, null=null)
        if value is None:
            return None
        whole = isinstance(value, int | float) and not isinstance(value, bool)
        # Compared, not converted: a whole number may be longer than any float.
        if not whole or not least <= value <= _LARGEST:
            raise self.refuse(
                names[0], f"must be a number, at least {least}; got {_shown(value)}"
            )
        return float(value)

    def positive(
        self, *names: str, default: Any = _ABSENT, null: Any = _REFUSED
    ) -> Any:
        """A finite number above zero, or what a missing or null one stands for.

        Args:
            names: Names of the key, the newest first.
            default: The value if none is there.
            null: The value if it is there and null.

        Raises:
            UnsupportedOption: it is anything else.
        """
        value = self.number(*names, default=default, null=null)
        if value == 0:
            raise self.refuse(names[0], "must be above 0; got 0")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """A truth value, or what a missing one stands for.

        Args:
            name: The key.
            default: The value if it is missing.

        Raises:
            UnsupportedOption: the value is neither true nor false.
        """
        value = self.get(name, default=default)
        if not isinstance(value, bool):
            raise self.refuse(name, f"must be true or false; got {_shown(value)}")
        return value

    def need(self, name: str, value: Any, why: str) -> None:
        """Refuse any other value than this one, if the key is there at all.

        Args:
            name: The key.
            value: The only value that the model can follow.
            why: Why another cannot be followed, as the end of a message.

        Raises:
            UnsupportedOption: the key has another value.
        """
        found = self.get(name, default=value, null=value)
        if found != value:
            raise self.refuse(name, f"= {_shown(found)} is not supported: {why}")

    def activation(self, *names: str, default: str) -> Any:
        """Our name of an activation function.

        Args:
            names: Names of the key, the newest first.
            default: What a missing key stands for, in their words.

        Raises:
            UnsupportedOption: it is none of ours.
        """
        found = self.get(*names, default=default)
        if not isinstance(found, str) or found not in ACTIVATIONS:
            raise UnsupportedOption(
                f"config.json of {self.family}: the activation {_shown(found)} is not "
                f"supported; known are {', '.join(ACTIVATIONS)}."
            )
        return ACTIVATIONS[found]

    def left(self) -> list[str]:
        """Keys that nobody has read, here and in mappings within."""
        own = [self._path + name for name in self._left]
        return sorted(own + [name for inner in self._inner for name in inner.left()])

    def finish(self) -> None:
        """Warn of keys that nobody has read."""
        if left := self.left():
            shown = ", ".join(name[:80] for name in left[:40])
            warnings.warn(
                f"config.json of {self.family}: {shown} unknown here and not followed; "
                "compare logits (`check_parity`) before you trust the model.",
                stacklevel=2,
            )


def _shown(value: Any) -> str:
    """A value for a message, cut short where a damaged file made it long."""
    return reprlib.repr(value)


ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}


def activation_name(ours: str) -> str:
    """The name that transformers has for an activation of ours."""
    return {"gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh"}.get(ours, ours)
