"""Low-rank factors in the layout of PEFT's modules, and in ours."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from einops import rearrange

from .families import Rule
from .families._rule import Shapes


class Factors(NamedTuple):
    """The two factors of one of our matrices, of one layer.

    Args:
        A: [in, rank].
        B: [rank, out], multiplied by whatever scale there is.
    """

    A: np.ndarray
    B: np.ndarray


class Seat(NamedTuple):
    """Where the factors of a rule's tensor go.

    PEFT's factors are those of a linear layer whatever its weight's layout: A is
    [rank, in] and B [out, rank]. The rule says of the weight which of its axes are
    inputs and how its outputs are mixed, so that heads and fused weights are found.

    Args:
        rule: The rule of the whole weight.
        inputs: Their group of axes that are read, in einops' notation.
        outputs: Their group of axes that are written.
        ours_in: The letters of our inputs, in our order.
        ours_out: The letters of our outputs.
        transposed: Whether their weight has inputs first, as GPT-2's have.
    """

    rule: Rule
    inputs: str
    outputs: str
    ours_in: str
    ours_out: str
    transposed: bool

    @property
    def is_fused(self) -> bool:
        """Whether one tensor holds several of our weights."""
        return len(self.rule.ours) > 1

    @property
    def module(self) -> str:
        """The module's name, with `{layer}` where there is one in each."""
        return self.rule.theirs.removesuffix(".weight")

    def read(self, A: np.ndarray, B: np.ndarray, shapes: Shapes) -> list[Factors]:
        """Our factors, one pair for each weight of the rule.

        Args:
            A: Theirs, [rank, in].
            B: Theirs, [out, rank].
            shapes: Shapes of our weights, by their paths.
        """
        ours_a = _move(A, f"r {self.inputs} -> ({self.ours_in}) r", self._axes(shapes))
        front = "w " if self.is_fused else ""
        pattern = f"{self.outputs} r -> {front}r ({self.ours_out})"
        ours_b = _move(B, pattern, self._axes(shapes))
        # All weights of a fused tensor read the same directions.
        return [Factors(ours_a, b) for b in (ours_b if self.is_fused else [ours_b])]

    def write(self, parts: Sequence[Factors | None], shapes: Shapes) -> Factors:
        """Their factors, A [rank, in] and B [out, rank].

        Weights of a fused tensor that read the same directions share them; otherwise
        the tensor's rank is the sum of theirs.

        Args:
            parts: Our factors, one for each weight of the rule; None where a weight
                does not change.
            shapes: Shapes of our weights, by their paths.
        """
        given = [part for part in parts if part is not None]
        first = given[0].A
        share = all(np.array_equal(part.A, first) for part in given)
        ours_a = first if share else np.concatenate([p.A for p in given], axis=1)
        blocks, start = [], 0
        for part in parts:
            block = np.zeros((ours_a.shape[1], given[0].B.shape[1]), first.dtype)
            if part is not None:
                begin = 0 if share else start
                block[begin : begin + len(part.B)] = part.B
                start += len(part.B)
            blocks.append(block)
        front = "w " if self.is_fused else ""
        ours_b = np.stack(blocks) if self.is_fused else blocks[0]
        pattern = f"{front}r ({self.ours_out}) -> {self.outputs} r"
        axes = self._axes(shapes)
        return Factors(
            _move(ours_a, f"({self.ours_in}) r -> r {self.inputs}", axes),
            _move(ours_b, pattern, axes),
        )

    def _axes(self, shapes: Shapes) -> dict[str, int]:
        return self.rule.axes(shapes)


def seat_of(rule: Rule) -> Seat | None:
    """Where the factors of a rule's tensor go, or None where it has none.

    Embeddings and positions have none: PEFT keeps those of lookups in another form.

    Args:
        rule: Of a family's table.
    """
    last = rule.ours[0].rsplit(".", 1)[-1]
    if not last.startswith("W_") or last in ("W_E", "W_pos"):
        return None
    theirs, ours = rule.layout.split("->")
    letters = [letter for letter in ours.split() if letter != "w"]
    n_inputs = 2 if last == "W_O" else 1
    ours_in, ours_out = letters[:n_inputs], letters[n_inputs:]
    groups = re.findall(r"\([^)]*\)|\w+", theirs)
    reads = [set(re.findall(r"\w", group)) <= set(ours_in) for group in groups]
    inputs, outputs = groups if reads[0] else groups[::-1]
    return Seat(rule, inputs, outputs, " ".join(ours_in), " ".join(ours_out), reads[0])


def _move(x: np.ndarray, pattern: str, axes: dict[str, int]) -> np.ndarray:
    """The array in another layout, with the sizes that the pattern asks for."""
    asked = {name: size for name, size in axes.items() if name in pattern}
    return np.ascontiguousarray(rearrange(x, pattern, **asked))
