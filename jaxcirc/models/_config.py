"""What a transformer is made of, as plain data that a checkpoint carries."""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import equinox as eqx

from .._core import unknown


class Llama3Rotary(eqx.Module):
    """Wavelengths stretched by `factor` where they are long, as Llama 3.1 does.

    Those above `n_ctx / low` are stretched, those below `n_ctx / high` are left, and in
    between the share changes linearly with the number of turns in `n_ctx` positions.

    Args:
        factor: How far.
        low: Turns within `n_ctx` up to which a wavelength is long.
        high: Turns within `n_ctx` from which it is short.
        n_ctx: Context that the model was first trained with.
    """

    factor: float
    low: float
    high: float
    n_ctx: int


class Sizes(NamedTuple):
    """Sizes and scales of a model that a config may leave to follow from others.

    Args:
        rotary_dim: Dimensions of each head that rotary positions turn; the only one
            that is no field of the config.
        n_kv_heads: Key and value heads per layer.
        d_head: Width of a head.
        d_mlp: Hidden width of the MLP; 0 without.
        d_vocab_out: Outputs.
        attention_scale: What scores are multiplied by.
        embedding_scale: What token embeddings are multiplied by.
        init_std: Standard deviation of initial weights.
    """

    rotary_dim: int
    n_kv_heads: int
    d_head: int
    d_mlp: int
    d_vocab_out: int
    attention_scale: float
    embedding_scale: float
    init_std: float


# Not a module: it holds no arrays, and is compared at every call of a compiled program.
@dataclasses.dataclass(frozen=True, eq=False)
class TransformerConfig:
    """The shape and the parts of a `Transformer`.

    A size or scale that is None follows from the others, also after a
    `dataclasses.replace`. The fields hold what was asked for, `sizes` what it comes to:
    code reads `config.sizes.d_head`, which is a number whatever was given. Two configs
    are equal if they describe the same model.

    Args:
        d_vocab: Tokens that can go in and come out.
        n_ctx: Longest sequence, in tokens.
        n_layers: Blocks.
        d_model: Width of the residual stream.
        n_heads: Query heads per layer.
        n_kv_heads: Key and value heads per layer; fewer than `n_heads` is
            grouped-query attention. If None, `n_heads`.
        d_head: Width of a head; if None, `d_model / n_heads`.
        d_mlp: Hidden width of the MLP; 0 leaves it out. If None, 4 `d_model`, and 8/3
            of it, rounded up to a multiple of 16, if gated.
        d_vocab_out: Outputs; if None, as many as input tokens.
        activation: Activation of the MLP. `gelu` is exact (erf), `gelu_tanh` its
            approximation.
        gated: Multiply the MLP's hidden layer by a second, linear one (SwiGLU).
        attention_bias: Biases on queries, keys, values and outputs; `qkv` leaves out
            the outputs'.
        qk_norm: Normalise queries and keys before rotating them: `head` each head by
            itself (Gemma 3, Qwen 3), `all` those of a position together (OLMo 2).
        clip_qkv: Queries, keys and values beyond this magnitude are cut to it.
        mlp_bias: Biases in the MLP.
        unembed_bias: A bias on the logits.
        norm: `layer` (LayerNorm), `layer_nonparametric` (the same without weight and
            bias), `rms` (RMSNorm, weight `w`), `rms_plus_one` (RMSNorm, weight `1 + w`)
            or `none`.
        norm_position: Where a sub-layer is normalised: `before` (its input), `after`
            (its output, before the residual addition), `both`, or `stream`: the
            residual stream after each addition, x = norm(x + f(x)), as in the first
            transformers. Such a model has no norm before its logits.
        norm_eps: Added to the variance.
        parallel: Attention and MLP both read the block's input; otherwise the MLP
            reads what attention has written.
        positions: `learned`, `rotary` or `none`.
        rotary_base: Base of the rotary wavelengths; one number or one per layer.
        rotary_fraction: Share of each head that is rotated.
        rotary_factor: What positions are divided by before rotating; one number or one
            per layer.
        rotary_llama3: Stretch long wavelengths alone, as Llama 3.1 does.
        rotary_pairing: `half` turns dimension i with i + d/2 (GPT-NeoX, Llama),
            `interleaved` turns 2i with 2i + 1 (GPT-J, Pico).
        causal: Each position sees itself and earlier ones only.
        window: Positions that attention reaches back, itself included; one number, one
            per layer, or None for all.
        attention_scale: What scores are multiplied by; if None, `d_head ** -0.5`.
        scale_by_inverse_layer: Also divide scores by (layer + 1).
        attention_softcap: c in c·tanh(scores / c).
        logit_softcap: c in c·tanh(logits / c).
        embedding_scale: What token embeddings are multiplied by; if None,
            `sqrt(d_model)`, as Gemma does.
        tied: The unembedding is the transposed embedding.
        init_std: Standard deviation of initial weights; if None,
            `0.8 / sqrt(d_model)`.

    Raises:
        ValueError: two sizes do not fit each other, or a part has an unknown name.

    Example:
        >>> import dataclasses
        >>> from jaxcirc.models import TransformerConfig
        >>> config = TransformerConfig(d_vocab=10, n_ctx=8, d_model=64, n_heads=4)
        >>> config.sizes.d_head, config.sizes.attention_scale
        (16, 0.25)
        >>> dataclasses.replace(config, d_head=64).sizes.attention_scale
        0.125
    """

    d_vocab: int
    n_ctx: int
    n_layers: int = 2
    d_model: int = 64
    n_heads: int = 4
    n_kv_heads: int | None = None
    d_head: int | None = None
    d_mlp: int | None = 0
    d_vocab_out: int | None = None
    activation: Literal["relu", "gelu", "gelu_tanh", "silu"] = "gelu"
    gated: bool = False
    attention_bias: Literal[True, False, "qkv"] = True
    qk_norm: Literal["none", "head", "all"] = "none"
    clip_qkv: float | None = None
    mlp_bias: bool = True
    unembed_bias: bool = False
    norm: Literal["layer", "layer_nonparametric", "rms", "rms_plus_one", "none"] = (
        "layer"
    )
    norm_position: Literal["before", "after", "both", "stream"] = "before"
    norm_eps: float = 1e-5
    parallel: bool = False
    positions: Literal["learned", "rotary", "none"] = "learned"
    rotary_base: float | tuple[float, ...] = 10_000.0
    rotary_fraction: float = 1.0
    rotary_pairing: Literal["half", "interleaved"] = "half"
    rotary_factor: float | tuple[float, ...] = 1.0
    rotary_llama3: Llama3Rotary | None = None
    causal: bool = True
    window: int | tuple[int | None, ...] | None = None
    attention_scale: float | None = None
    scale_by_inverse_layer: bool = False
    attention_softcap: float | None = None
    logit_softcap: float | None = None
    embedding_scale: float | None = 1.0
    tied: bool = False
    init_std: float | None = None

    def __post_init__(self):
        always = ("d_vocab", "n_ctx", "n_layers", "d_model", "n_heads")
        for name in (*always, "n_kv_heads", "d_head", "d_vocab_out"):
            self._check_size(name, least=1)
        self._check_size("d_mlp", least=0)
        if self.d_head is None and _uneven(self):
            divisors = [n for n in range(1, 65) if self.d_model % n == 0]
            raise ValueError(
                f"TransformerConfig: `n_heads` = {self.n_heads} does not divide "
                f"`d_model` = {self.d_model}. Choose one of "
                f"{', '.join(map(str, divisors))}, or give `d_head`."
            )
        if self.tied and self.d_vocab_out not in (None, self.d_vocab):
            raise ValueError(
                f"TransformerConfig: a tied unembedding has `d_vocab` = {self.d_vocab} "
                f"outputs; got `d_vocab_out` = {self.d_vocab_out}."
            )
        choices = ("activation", "attention_bias", "qk_norm", "norm", "norm_position")
        for name in (*choices, "positions", "rotary_pairing"):
            self._check_choice(name)
        if self.parallel and self.norm_position == "stream":
            raise ValueError(
                "TransformerConfig: `norm_position` = 'stream' normalises after each "
                "of two additions, and `parallel` makes only one; choose one of them."
            )
        if self.qk_norm != "none" and not self.norm.startswith("rms"):
            raise ValueError(
                f"TransformerConfig: `qk_norm` is an RMSNorm of the model's own kind; "
                f"got `norm` = {self.norm!r}."
            )
        if self.n_heads % self.sizes.n_kv_heads:
            raise ValueError(
                f"TransformerConfig: `n_kv_heads` = {self.n_kv_heads} does not divide "
                f"`n_heads` = {self.n_heads}; each key head serves a whole group."
            )
        rotary_dim = self.sizes.rotary_dim
        if self.positions == "rotary" and (rotary_dim < 2 or rotary_dim % 2):
            raise ValueError(
                f"TransformerConfig: rotary positions turn pairs of dimensions, so "
                f"`d_head` x `rotary_fraction` = {self.sizes.d_head} x "
                f"{self.rotary_fraction} must be an even number, at least 2."
            )
        for name in ("window", "rotary_base", "rotary_factor"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != self.n_layers:
                raise ValueError(
                    f"TransformerConfig: `{name}` has {len(value)} entries for "
                    f"{self.n_layers} layers; give one per layer or a single number."
                )

    def _check_size(self, name: str, *, least: int) -> None:
        size = getattr(self, name)
        # Positions in an array are counted in 32 bits.
        if size is not None and not least <= size < 2**31:
            derived = type(self).__dataclass_fields__[name].default is None
            hint = " Leave it out, and it follows from the others." if derived else ""
            raise ValueError(
                f"TransformerConfig: `{name}` must be at least {least} and below 2^31; "
                f"got {size}.{hint}"
            )

    def _check_choice(self, name: str) -> None:
        field = type(self).__dataclass_fields__[name]
        allowed = field.type.__args__  # pyright: ignore
        if getattr(self, name) not in allowed:
            message = unknown(
                f"`{name}`", str(getattr(self, name)), list(map(str, allowed))
            )
            raise ValueError(f"TransformerConfig: {message}")

    @functools.cached_property
    def sizes(self) -> Sizes:
        """All sizes and scales, as given or as they follow from the others."""
        given = {name: getattr(self, name, None) for name in Sizes._fields}
        known = {name: size for name, size in given.items() if size is not None}
        return _derived(self)._replace(**known)

    def __eq__(self, other: object) -> bool:
        """Whether both describe the same model, be its sizes given or derived."""
        if not isinstance(other, TransformerConfig):
            return NotImplemented
        return self is other or self._known == other._known

    def __hash__(self) -> int:
        """Equal configs have equal hashes, whichever of their sizes were given."""
        return hash(self._known)

    @functools.cached_property
    def _known(self) -> tuple:
        fields = type(self).__dataclass_fields__
        # What a size was given as does not count where `sizes` has it.
        rest = (getattr(self, name) for name in fields if name not in Sizes._fields)
        return (*self.sizes, *rest)

    def to_dict(self) -> dict[str, Any]:
        """The config as JSON-ready data, with every size written out."""
        sizes = self.sizes._asdict()
        del sizes["rotary_dim"]  # Not a field: `rotary_fraction` says it.
        return dataclasses.asdict(self) | sizes

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TransformerConfig":
        """The config that `to_dict` wrote, by this version or an earlier one.

        A size that is what would follow from the others follows from them again, so
        that a change to what was read leaves nothing behind.

        Args:
            data: As parsed from JSON.

        Raises:
            ValueError: a key is unknown or one without default is missing.
        """
        fields = cls.__dataclass_fields__
        for name in data:
            if name not in fields:
                raise ValueError(f"TransformerConfig: {unknown('key', name, fields)}")
        for name in ("d_vocab", "n_ctx"):
            if name not in data:
                raise ValueError(f"TransformerConfig: `{name}` is missing.")
        # JSON has no tuples, and a list would make the config unhashable.
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in data.items()
        }
        if isinstance(values.get("rotary_llama3"), Mapping):
            values["rotary_llama3"] = Llama3Rotary(**values["rotary_llama3"])
        return cls(**values)._derived_again()

    def _derived_again(self) -> "TransformerConfig":
        derived = _derived(self)
        again = {
            name: None
            for name in Sizes._fields[1:]
            if getattr(self, name) == getattr(derived, name)
        }
        if _uneven(self):
            # Where the stream does not divide among heads, no width follows for one.
            again.pop("d_head", None)
        return dataclasses.replace(self, **again)


def _derived(c: TransformerConfig) -> Sizes:
    """What sizes and scales follow from the others."""
    d_head = c.d_model // c.n_heads
    own_head = d_head if c.d_head is None else c.d_head
    # Two thirds of the usual four: a gate brings a third matrix along.
    gated = -(-8 * c.d_model // 48) * 16
    return Sizes(
        rotary_dim=int(own_head * c.rotary_fraction),
        n_kv_heads=c.n_heads,
        d_head=d_head,
        d_mlp=gated if c.gated else 4 * c.d_model,
        d_vocab_out=c.d_vocab,
        attention_scale=own_head**-0.5,
        embedding_scale=c.d_model**0.5,
        init_std=0.8 / math.sqrt(c.d_model),
    )


def _uneven(c: TransformerConfig) -> bool:
    """Whether the stream cannot be divided among the heads."""
    return c.d_model % c.n_heads != 0
