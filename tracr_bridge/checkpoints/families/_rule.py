"""A rule: one tensor of a checkpoint, and the weights of ours that it holds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from einops import rearrange

Shapes = Mapping[str, tuple[int, ...]]


class Rule(NamedTuple):
    """A tensor's name there, our names for what it holds, and the layout of both.

    Reading and writing are one table in two directions, so a rule that is right for one
    is right for the other.

    Args:
        theirs: The tensor's name on disk; `{layer}` makes it one tensor per layer.
        ours: Dotted paths in a `Transformer`, below `blocks` if per layer. A fused
            tensor holds several, which the axis `w` of the layout counts.
        layout: An einops pattern from their axes to ours: m d_model, h head, d d_head,
            f d_mlp, v d_vocab, p pos.
        unused: Rows in front of the tensor's first axis that are no weights of ours,
            such as positions that padding has. They are dropped, and written as zeros.
    """

    theirs: str
    ours: tuple[str, ...]
    layout: str
    unused: int = 0

    @property
    def per_layer(self) -> bool:
        """Whether there is one such tensor in each layer."""
        return "{layer}" in self.theirs

    def leaves(self) -> tuple[str, ...]:
        """Paths of the weights in a whole model."""
        prefix = "blocks." if self.per_layer else ""
        return tuple(prefix + name for name in self.ours)

    def names(self, n_layers: int) -> list[str]:
        """The tensors' names, in order of layers.

        Args:
            n_layers: Layers of the model; a rule outside of layers has one name.
        """
        count = n_layers if self.per_layer else 1
        return [self.theirs.format(layer=layer) for layer in range(count)]

    def axes(self, shapes: Shapes) -> dict[str, int]:
        """Sizes of the layout's axes, from the shapes of our weights."""
        shape = shapes[self.leaves()[0]][1 if self.per_layer else 0 :]
        letters = self.layout.split("->")[1].split()
        if len(self.ours) > 1:
            shape = (len(self.ours), *shape)
        return dict(zip(letters, shape, strict=True))

    def shape(self, shapes: Shapes) -> tuple[int, ...]:
        """The shape that the tensor has to have.

        Args:
            shapes: Shapes of our weights, by their paths.
        """
        axes = self.axes(shapes)
        blank = jax.ShapeDtypeStruct(tuple(axes.values()), "float32")
        # Einops itself says the shape; no array is made for it.
        back = lambda x: rearrange(x, self._back(), **axes)
        rows, *rest = jax.eval_shape(back, blank).shape
        return (rows + self.unused, *rest)

    def read(self, tensor: Any, shapes: Shapes) -> Sequence[Any]:
        """Our weights, one for each of `ours`, as views of the tensor if possible.

        Args:
            tensor: The tensor as it is on disk.
            shapes: Shapes of our weights, by their paths.
        """
        own = tensor[self.unused :] if self.unused else tensor
        out = rearrange(own, self.layout, **self.axes(shapes))
        return list(out) if len(self.ours) > 1 else [out]

    def write(self, weights: Sequence[Any], shapes: Shapes) -> Any:
        """The tensor that holds these weights.

        Args:
            weights: Our weights, one for each of `ours`, of one layer.
            shapes: Shapes of our weights, by their paths.
        """
        whole = list(weights) if len(self.ours) > 1 else weights[0]
        own = rearrange(whole, self._back(), **self.axes(shapes))
        if not self.unused:
            return own
        return np.concatenate(
            [np.zeros_like(own, shape=(self.unused, *own.shape[1:])), own]
        )

    def _back(self) -> str:
        """The layout in the other direction."""
        theirs, ours = self.layout.split("->")
        return f"{ours} -> {theirs}"


def rule(theirs: str, ours: str, layout: str, *, unused: int = 0) -> Rule:
    """A rule of a name map, in one line.

    It says of one tensor, or of one in every layer, what it is called, which of our
    weights it holds and how its axes follow ours. `from_tensors` and the families take
    such rules.

    Args:
        theirs: The tensor's name on disk; `{layer}` stands for the number of a layer.
        ours: Our weight's dotted path, or several with blanks between.
        layout: An einops pattern from their axes to ours.
        unused: Rows in front of the tensor's first axis that are no weights of ours;
            OPT's table of positions begins with 2.

    Returns:
        The rule, which reads and writes.

    Example:
        A fused matrix of two layers holds three weights in each.

        >>> from tracr_bridge import rule
        >>> fused = rule("h.{layer}.qkv", "attn.W_Q attn.W_K attn.W_V",
        ...              "m (w h d) -> w m h d")
        >>> fused.names(2), fused.leaves()[0]
        (['h.0.qkv', 'h.1.qkv'], 'blocks.attn.W_Q')
    """
    return Rule(theirs, tuple(ours.split()), layout, unused)


def norm(theirs: str, ours: str) -> tuple[Rule, Rule]:
    """The rules for the weight and the bias of a norm.

    They read `theirs.weight` and `theirs.bias`, as transformers calls them. A model
    whose norms have no bias, such as RMSNorm, ignores the second rule, since rules of
    weights that a config does without are not used.

    Args:
        theirs: The norm's name on disk, `{layer}` included.
        ours: The norm's path in a `Transformer`.

    Returns:
        Two rules.

    Example:
        >>> from tracr_bridge.checkpoints.families import norm
        >>> [row.theirs for row in norm("ln_f", "ln_final")]
        ['ln_f.weight', 'ln_f.bias']
    """
    return (
        rule(f"{theirs}.weight", f"{ours}.weight", "m -> m"),
        rule(f"{theirs}.bias", f"{ours}.bias", "m -> m"),
    )


def attention(theirs: str, output: str = "o_proj") -> tuple[Rule, ...]:
    """Separate projections with heads in their rows, as the Llama family keeps them."""
    rules = []
    for name in "QKV":
        proj = f"{theirs}.{name.lower()}_proj"
        rules.append(rule(f"{proj}.weight", f"attn.W_{name}", "(h d) m -> m h d"))
        rules.append(rule(f"{proj}.bias", f"attn.b_{name}", "(h d) -> h d"))
    rules.append(rule(f"{theirs}.{output}.weight", "attn.W_O", "m (h d) -> h d m"))
    rules.append(rule(f"{theirs}.{output}.bias", "attn.b_O", "m -> m"))
    return tuple(rules)


def gated_mlp(
    theirs: str,
    gate: str = "gate_proj",
    up: str = "up_proj",
    down: str = "down_proj",
) -> tuple[Rule, ...]:
    """A gated MLP as the Llama family keeps it."""
    return (
        rule(f"{theirs}.{gate}.weight", "mlp.W_gate", "f m -> m f"),
        rule(f"{theirs}.{up}.weight", "mlp.W_in", "f m -> m f"),
        rule(f"{theirs}.{down}.weight", "mlp.W_out", "m f -> f m"),
    )
