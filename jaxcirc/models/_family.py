"""A row of the model catalogue, and families as tables of a config's fields."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ._config import Llama3Rotary, TransformerConfig

Rule = Callable[[TransformerConfig], Any]


class ModelSpec(NamedTuple):
    """A model family: a named way to pick the parts of a `Transformer`.

    Args:
        name: What a study calls it.
        summary: One line for `jaxcirc list`.
        build: Keyword options -> config. `d_vocab` and `n_ctx` come first; a study
            fills them in from its task. As a rule a `Family`.
        tiny: Options of a small instance, for tests.
    """

    name: str
    summary: str
    build: Callable[..., TransformerConfig]
    tiny: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of models, as values for fields of a `TransformerConfig`.

    Called with a vocabulary, a context and options, it gives a config. An option may be
    any field of the config. Parts make the family what it is, and an option that
    contradicts one is refused; defaults only stand in for options that are left out.

    Args:
        name: What messages call it.
        parts: Fields with a fixed value, such as `{"tied": True}`.
        defaults: Fields with a value that an option may replace.
        rules: Fields that follow from the others, options included: each a function of
            the config without it, such as windows by layer.

    Example:
        >>> from jaxcirc.models._family import Family
        >>> family = Family("tied", parts={"tied": True}, defaults={"d_model": 32})
        >>> family(10, 8, n_layers=3).d_model
        32
        >>> family(10, 8, tied=False)
        Traceback (most recent call last):
            ...
        ValueError: tied: `tied` is True in this family; got False. Leave it out, or ...
    """

    name: str
    parts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    rules: Mapping[str, Rule] = dataclasses.field(default_factory=dict)

    def __call__(self, d_vocab: int, n_ctx: int, **options: Any) -> TransformerConfig:
        """The config of one model of the family.

        Args:
            d_vocab: Tokens.
            n_ctx: Longest sequence.
            **options: Other fields of the config.

        Raises:
            ValueError: an option contradicts the family, or sizes do not fit each
                other.
            TypeError: the config has no such field.
        """
        for name in options.keys() & self.parts.keys():
            if options[name] != self.parts[name]:
                raise ValueError(
                    f"{self.name}: `{name}` is {self.parts[name]!r} in this family; "
                    f"got {options[name]!r}. Leave it out, or take another family."
                )
        if isinstance(rotary := options.get("rotary_llama3"), Mapping):
            options |= {"rotary_llama3": _rotary(self.name, rotary)}
        values = {**self.defaults, **self.parts, **options}
        # Rules see a config without them, so that they may depend on any option.
        config = TransformerConfig(d_vocab=d_vocab, n_ctx=n_ctx, **values)
        own = {name: rule(config) for name, rule in self.rules.items()}
        return dataclasses.replace(config, **own)

    def but(
        self,
        name: str,
        *,
        parts: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
        rules: Mapping[str, Rule] | None = None,
    ) -> "Family":
        """Another family, which is this one but for some fields.

        Args:
            name: What messages call it.
            parts: Fields to fix, whether this family fixes them or not.
            defaults: Fields to give another default, and to free if they are fixed.
            rules: Fields that follow from the others.
        """
        parts, defaults = parts or {}, defaults or {}
        kept = {k: v for k, v in self.parts.items() if k not in defaults}
        return Family(
            name,
            parts={**kept, **parts},
            defaults={**self.defaults, **defaults},
            rules={**self.rules, **(rules or {})},
        )

    @property
    def __signature__(self) -> inspect.Signature:
        """One parameter for each field of a config, with the family's own defaults."""
        values = {**self.defaults, **self.parts}
        parameters = []
        for name, field in TransformerConfig.__dataclass_fields__.items():
            required = field.default is dataclasses.MISSING
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
            default: Any = inspect.Parameter.empty
            if not required:
                kind, default = inspect.Parameter.KEYWORD_ONLY, field.default
            annotation: Any = field.type
            if name == "rotary_llama3":
                # YAML has no such class, so the annotation takes a mapping too.
                annotation = Mapping[str, int | float] | None
            parameters.append(
                inspect.Parameter(
                    name,
                    kind,
                    default=values.get(name, default),
                    annotation=annotation,
                )
            )
        return inspect.Signature(parameters, return_annotation=TransformerConfig)


def _rotary(family: str, options: Mapping[str, Any]) -> Llama3Rotary:
    """Llama 3.1's stretching of wavelengths, from the mapping that a study writes."""
    wanted = list(Llama3Rotary.__dataclass_fields__)
    if sorted(options) != sorted(wanted):
        raise ValueError(
            f"{family}: `rotary_llama3` takes {', '.join(wanted)}; got "
            f"{', '.join(options) or 'none of them'}."
        )
    factor, low, high = (float(options[name]) for name in ("factor", "low", "high"))
    return Llama3Rotary(factor, low, high, int(options["n_ctx"]))
