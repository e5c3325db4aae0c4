"""What a training run's checkpoints are called, and how one becomes a model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxcirc._core import unknown
from jaxcirc.models import Transformer, TransformerConfig

from ._load import from_tensors, from_transformer_lens
from ._pretrained import CONFIG, family_of, load_folder, open_weights, read_json
from ._tensor_names import compiled, renamed
from ._transformer_lens import read_cfg
from .families import Rule
from .formats import Tensors


class Series(NamedTuple):
    """A run as a reader finds it.

    Args:
        names: Step -> name of a revision, folder, file or group.
        read: Name -> model.
        config: Name -> the model's config, without reading weights if it can be.
        tokenizer: Name -> tokenizer, or None where there is none.
        fingerprint: Name -> a short name for what it holds.
        stamp: Name -> one that changes when it is written again, and costs nothing;
            None where the fingerprint costs nothing.
    """

    names: Mapping[int, str]
    read: Callable[[str], Transformer]
    config: Callable[[str], TransformerConfig]
    tokenizer: Callable[[str], Any]
    fingerprint: Callable[[str], str]
    stamp: Callable[[str], str] | None = None


class Reading(NamedTuple):
    """How weights become models, the same for every checkpoint of a run.

    Args:
        dtype: The type of the weights; None keeps the checkpoints' own.
        cfg: For TransformerLens weights, what `from_transformer_lens` takes.
        ignore: Patterns of tensors to leave out.
        names: Pattern -> replacement, for tensors that have another name there.
        config: The model's config, for weights of one's own.
        rules: What their tensors hold, as `from_tensors` takes it.
    """

    dtype: str | None = "float32"
    cfg: Mapping[str, Any] | None = None
    ignore: Sequence[str] = ()
    names: Mapping[str, str] | None = None
    config: TransformerConfig | None = None
    rules: Sequence[Rule] = ()

    def folder(self, path: str) -> Transformer:
        """The model that a folder holds."""
        if self.rules:
            return self.tensors(open_weights(path))
        return load_folder(path, dtype=self.dtype, ignore=self.ignore, names=self.names)

    def folder_config(self, path: str) -> TransformerConfig:
        """The config of a folder's model."""
        if self.config is not None:
            return self.config
        raw = read_json(f"{path}/{CONFIG}")
        return family_of(raw).config(raw)

    def tensors(self, found: Tensors) -> Transformer:
        """The model of weights by themselves."""
        found = renamed(found, self.names)
        if self.config is None:
            return from_transformer_lens(
                found, self.cfg, ignore=self.ignore, dtype=self.dtype
            )
        return from_tensors(
            found, self.config, self.rules, ignore=self.ignore, dtype=self.dtype
        )

    def tensors_config(self, found: Tensors) -> TransformerConfig:
        """The config of the model that such weights make."""
        if self.config is not None:
            return self.config
        return read_cfg(renamed(found, self.names), self.cfg or {}, {})


def checked(reading: Reading) -> Reading:
    """The same reading, once it is known that it can be followed.

    Raises:
        ValueError: rules without a config or the other way round, or a pattern that is
            no regular expression.
    """
    # Either one alone would be ignored without a word.
    if bool(reading.rules) != (reading.config is not None):
        raise ValueError(
            "trajectory: files of one's own need both `config`, the model's, and "
            "`rules`, what their tensors hold."
        )
    for pattern in (*reading.ignore, *(reading.names or {})):
        compiled(pattern)
    return reading


def chosen_names(
    given: Mapping[int, str], there: Sequence[str], source: str
) -> Mapping[int, str]:
    """Names that a user gave, each known to be there.

    Raises:
        ValueError: one is not there.
    """
    for name in given.values():
        if name not in there:
            raise ValueError(f"{source}: {unknown('checkpoint', name, there)}")
    return given
