"""Reading a `config.json` so that no option is ignored in silence."""

import warnings
from collections.abc import Mapping
from typing import Any

# What has no part in the forward pass of a trained model without dropout.
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
_MOST_LAYERS = 10_000


class UnsupportedOption(ValueError):
    """A checkpoint's config asks for something that the model cannot do."""


class Fields:
    """The keys of one `config.json`, each taken by name; what is left over is told.

    Args:
        family: Whose config, for messages.
        raw: The parsed JSON. Keys that are null count as absent.
        no_part: Further keys that have no part in the forward pass.
    """

    def __init__(
        self,
        family: str,
        raw: Mapping[str, Any],
        no_part: frozenset[str] = frozenset(),
    ):
        self.family = family
        self._raw = {k: v for k, v in raw.items() if v is not None}
        self._left = set(self._raw) - _NO_PART - no_part

    def get(self, *names: str, default: Any = _ABSENT) -> Any:
        """The value under the first of these names that is there.

        Raises:
            UnsupportedOption: none is, and there is no default.
        """
        self._left -= set(names)
        for name in names:
            if name in self._raw:
                return self._raw[name]
        if default is _ABSENT:
            raise UnsupportedOption(
                f"config.json of {self.family}: `{names[0]}` is missing."
            )
        return default

    def size(self, *names: str, default: Any = _ABSENT) -> int:
        """A whole number, at least 1."""
        value = self.get(*names, default=default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UnsupportedOption(
                f"config.json of {self.family}: `{names[0]}` must be a whole number, "
                f"at least 1; got {value!r}."
            )
        return value

    def layers(self, name: str) -> int:
        """A number of layers, which a damaged file must not make a loop of years."""
        found = self.size(name)
        if found > _MOST_LAYERS:
            raise UnsupportedOption(
                f"config.json of {self.family}: `{name}` = {found:,} is more than any "
                "model has."
            )
        return found

    def number(self, *names: str, default: Any = _ABSENT) -> float:
        """A number."""
        value = self.get(*names, default=default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UnsupportedOption(
                f"config.json of {self.family}: `{names[0]}` must be a number; got "
                f"{value!r}."
            )
        return float(value)

    def positive(self, *names: str, default: Any = _ABSENT) -> float:
        """A number above zero."""
        value = self.number(*names, default=default)
        if value <= 0:
            raise UnsupportedOption(
                f"config.json of {self.family}: `{names[0]}` must be above 0; got "
                f"{value!r}."
            )
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self.get(name, default=default)
        if not isinstance(value, bool):
            raise UnsupportedOption(
                f"config.json of {self.family}: `{name}` must be true or false; got "
                f"{value!r}."
            )
        return value

    def need(self, name: str, value: Any, why: str) -> None:
        """Refuse any other value than this one, if the key is there at all.

        Raises:
            UnsupportedOption: it has another; `why` it cannot be followed.
        """
        found = self.get(name, default=value)
        if found != value:
            raise UnsupportedOption(
                f"config.json of {self.family}: `{name}` = {found!r} is not supported: "
                f"{why}."
            )

    def activation(self, *names: str, default: str) -> Any:
        """Our name of an activation function.

        Raises:
            UnsupportedOption: it is none of ours.
        """
        found = self.get(*names, default=default)
        if found not in ACTIVATIONS:
            raise UnsupportedOption(
                f"config.json of {self.family}: the activation {found!r} is not "
                f"supported; known are {', '.join(ACTIVATIONS)}."
            )
        return ACTIVATIONS[found]

    def finish(self) -> None:
        """Warn of keys that nobody has read."""
        if self._left:
            warnings.warn(
                f"config.json of {self.family}: {', '.join(sorted(self._left))} "
                "unknown here and not followed; compare logits (`check_parity`) before "
                "you trust the model.",
                stacklevel=2,
            )


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
    """What transformers calls an activation of ours."""
    return {"gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh"}.get(ours, ours)
