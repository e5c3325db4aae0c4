"""What a training run's checkpoints are called, and how one becomes a model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxcirc.checkpoints.formats import Tensors
from jaxcirc.models import Transformer, TransformerConfig

from ._load import from_tensors
from ._opened import Opened
from ._pretrained import open_folder
from ._tensor_files import open_weights
from ._tensor_names import compiled, renamed
from ._transformer_lens import open_hooked
from .families import Rule


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

    def folder(self, path: str) -> Opened:
        """The model that a folder holds."""
        if self.config is not None:
            return Opened(self.config, lambda: self.weights(open_weights(path)).read())
        return open_folder(path, dtype=self.dtype, ignore=self.ignore, names=self.names)

    def weights(self, found: Tensors) -> Opened:
        """The model of weights by themselves."""
        found, config = renamed(found, self.names), self.config
        if config is None:
            return open_hooked(found, self.cfg, ignore=self.ignore, dtype=self.dtype)
        options: dict[str, Any] = {"ignore": self.ignore, "dtype": self.dtype}
        return Opened(
            config, lambda: from_tensors(found, config, self.rules, **options)
        )


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
