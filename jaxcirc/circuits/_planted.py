"""Ground truth in training: checkpoints in which known parts come in at known steps."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from .._core import fold_name, named_leaves, normal, unknown
from ..checkpoints import Trajectory
from ..models import Transformer, graph as graph_of
from ..tasks import Pairs
from ._attribute import patch


class Planted(eqx.Module):
    """A made-up training run of a model whose parts are known.

    At each step a part writes its share of what it writes in the finished model,

        share(step) = clip((step - onset) / ramp + 1/2, 0, 1),

    which is one half at its onset, and jumps from 0 to 1 there without a ramp. Parts
    without an onset are whole from the beginning. Independent normal noise is added to
    every weight of every checkpoint, as training moves weights that nothing depends on.

    Attributes:
        finished: The model with all parts and without noise.
        onsets: Name of a source of `circuits.graph` -> the step at which it comes in.
        steps: Steps that have a checkpoint, ascending.
        ramp: Steps that it takes from nothing to all.
        noise: Standard deviation of the noise, in units of the weights.
        key: Of the noise.
    """

    finished: Transformer
    onsets: tuple[tuple[str, int], ...] = eqx.field(static=True)
    steps: tuple[int, ...] = eqx.field(static=True)
    ramp: float = eqx.field(static=True)
    noise: float
    key: Key[Array, ""]

    @property
    def stages(self) -> tuple[int, ...]:
        """The first step, and every later one at which some part comes in."""
        first = self.steps[0]
        return (first, *sorted({s for _, s in self.onsets if s > first}))

    def shares(self, step: int | Int[Array, ""]) -> Float[Array, " source"]:
        """What share of its output each source of the graph writes at a step.

        Args:
            step: Any step, also one without a checkpoint.

        Example:
            >>> import jax.random as jr
            >>> from jaxcirc import circuits
            >>> from jaxcirc.models import Transformer, TransformerConfig
            >>> config = TransformerConfig(
            ...     d_vocab=5, n_ctx=4, n_layers=1, n_heads=2
            ... )
            >>> model = Transformer(config, key=jr.key(0))
            >>> run = circuits.planted(
            ...     model, {"L0H1": 40}, range(0, 100, 10), ramp=20, key=jr.key(1)
            ... )
            >>> [run.shares(step).tolist() for step in (20, 40, 50)]
            [[1.0, 1.0, 0.0], [1.0, 1.0, 0.5], [1.0, 1.0, 1.0]]
        """
        sources = graph_of(self.finished.config).sources
        # What is whole from the beginning has come in long before.
        begun = np.full(len(sources), -math.inf, np.float32)
        for name, onset in self.onsets:
            begun[sources.index(name)] = onset
        gone = jnp.asarray(step).astype(jnp.float32) - begun
        if not self.ramp:
            return (gone >= 0).astype(jnp.float32)
        return jnp.clip(gone / self.ramp + 0.5, 0, 1)

    def without_noise(self, step: int | Int[Array, ""]) -> Transformer:
        """The model at a step as it was planted.

        Args:
            step: Any step, also one without a checkpoint.
        """
        model, c = self.finished, self.finished.config
        shares = self.shares(step)[1:].reshape(c.n_layers, -1)
        attn, mlp = model.blocks.attn, model.blocks.mlp
        heads = shares[:, : c.n_heads, None, None].astype(attn.W_O.dtype)
        model = eqx.tree_at(lambda m: m.blocks.attn.W_O, model, heads * attn.W_O)
        if mlp is None:
            return model
        out = lambda m: [
            x for x in (m.blocks.mlp.W_out, m.blocks.mlp.b_out) if x is not None
        ]
        share = shares[:, -1]
        scaled = [
            x * share.reshape(-1, *(1,) * (x.ndim - 1)).astype(x.dtype)
            for x in out(model)
        ]
        return eqx.tree_at(out, model, scaled)

    def at(self, step: int | Int[Array, ""]) -> Transformer:
        """The checkpoint of a step, with its noise; the same whenever it is asked for.

        Args:
            step: Any step; an array is fine, so `jax.vmap(run.at)` stacks checkpoints.
        """
        model = self.without_noise(step)
        key = jr.fold_in(self.key, step)
        moved = [
            x
            + jnp.asarray(self.noise, x.dtype)
            * normal(fold_name(key, n), x.shape, x.dtype)
            for n, x in named_leaves(model).items()
        ]
        return jax.tree.unflatten(jax.tree.structure(model), moved)

    @property
    def trajectory(self) -> Trajectory:
        """The checkpoints as of any run: `load` one, `stack` some, `stream` all."""
        make = eqx.filter_jit(self.at)
        info = {"onsets": dict(self.onsets), "ramp": self.ramp, "noise": self.noise}
        return Trajectory(self.steps, lambda s: make(jnp.asarray(s)), info, "planted")

    def truth(
        self, pairs: Pairs, **options
    ) -> dict[int, Bool[np.ndarray, "source destination"]]:
        """Which edges have an effect from each stage on, by patching them one by one.

        The models are those without noise, in which an edge that is not part of a
        circuit has an effect of exactly nothing, up to rounding. A part that has come
        in has no effect before something reads it that reaches the logits.

        Args:
            pairs: Clean and corrupted sequences, with right and wrong answers.
            **options: Of `circuits.patch`: `ablation`, `objective`, ….

        Returns:
            Step of `stages` -> edges whose effect is more than rounding, in any
            example.
        """
        # All of a part from its onset on, however little of it is there yet.
        whole = dataclasses.replace(self, ramp=0.0)
        effects = {
            step: np.abs(_each(whole.without_noise(step), pairs, options)).max(axis=0)
            for step in self.stages
        }
        rounding = (
            100 * np.finfo(np.float32).eps * max(e.max() for e in effects.values())
        )
        return {step: effect > rounding for step, effect in effects.items()}

    def emergence(self, pairs: Pairs, **options) -> dict[str, int]:
        """The step from which each source has an effect, for those that have one.

        This is what scores can show of a part. It is the part's onset unless what
        reads it comes in later.

        Args:
            pairs: Clean and corrupted sequences, with right and wrong answers.
            **options: Of `circuits.patch`.

        Returns:
            Name of a source of the graph -> a step of `stages`.
        """
        truth = self.truth(pairs, **options)
        sources = graph_of(self.finished.config).sources
        return {
            source: min(step for step, edges in truth.items() if edges[i].any())
            for i, source in enumerate(sources)
            if any(edges[i].any() for edges in truth.values())
        }


def planted(
    model: Transformer,
    onsets: Mapping[str, int],
    steps: Sequence[int],
    *,
    ramp: float = 0.0,
    noise: float = 0.01,
    key: Key[Array, ""],
) -> Planted:
    """A made-up training run in which known parts of a model come in at known steps.

    Ground truth for whatever follows circuits over training: change points of scores,
    the order in which parts appear, how stable a circuit is while nothing happens. The
    model is one whose circuit is known, such as `induction_by_hand` or the solution of
    a task that is a compiled program.

    Args:
        model: The finished model.
        onsets: Heads (`L0H1`) and MLPs (`L1.mlp`), and the step at which each comes in;
            all other parts are there from the beginning.
        steps: Steps that have a checkpoint, ascending.
        ramp: Steps that a part takes from nothing to all of it, half of them before its
            onset; 0 for a jump.
        noise: Standard deviation of the noise on every weight, in units of the weights;
            drawn anew for each checkpoint.
        key: Of the noise.

    Returns:
        The run: `trajectory` has its checkpoints, `truth` the edges that have an effect
        from each onset on, `emergence` when each part begins to have one.

    Raises:
        ValueError: an onset is of no head or MLP of the model, or outside the steps;
            steps do not ascend; or a norm behind attention or MLPs would undo a share.

    Example:
        The head that induction needs first comes in first, and has no effect until the
        other one is there.

        >>> import jax.random as jr
        >>> from jaxcirc import circuits
        >>> from jaxcirc.tasks import Induction
        >>> task = Induction(n_symbols=7, n_ctx=9, shortest=3, longest=4)
        >>> model, onsets = circuits.induction_by_hand(task), {"L0H0": 20, "L1H0": 50}
        >>> run = circuits.planted(model, onsets, range(0, 100, 10), key=jr.key(0))
        >>> run.emergence(circuits.pairs(task, 8, key=jr.key(1)))
        {'embed': 50, 'L0H0': 50, 'L1H0': 50}
    """
    steps = tuple(int(step) for step in steps)
    _check(model, onsets, steps, ramp, noise)
    return Planted(model, tuple(onsets.items()), steps, ramp, noise, key)


def _each(model: Transformer, pairs: Pairs, options: dict) -> np.ndarray:
    """The effect of every edge in every example."""
    return np.asarray(patch(model, pairs, per_example=True, **options).values)


def _check(
    model: Transformer,
    onsets: Mapping[str, int],
    steps: tuple[int, ...],
    ramp: float,
    noise: float,
) -> None:
    """Refuse what cannot be planted.

    Raises:
        ValueError: as `planted` says.
    """
    graph = graph_of(model.config)
    parts = [
        s
        for s, layer in zip(graph.sources, graph.source_layer, strict=True)
        if layer >= 0
    ]
    for name in onsets:
        if name not in parts:
            raise ValueError(f"planted: {unknown('part', name, parts)}")
    if not steps or any(a >= b for a, b in itertools.pairwise(steps)):
        raise ValueError(f"planted: `steps` must ascend; got {list(steps)}.")
    outside = {n: s for n, s in onsets.items() if not steps[0] <= s <= steps[-1]}
    if outside:
        raise ValueError(
            f"planted: onsets must be within the steps {steps[0]} to {steps[-1]}; got "
            f"{outside}. Leave out what is there from the beginning."
        )
    if ramp < 0 or noise < 0:
        raise ValueError(
            f"planted: `ramp` and `noise` cannot be negative; got {ramp} and {noise}."
        )
    if model.config.norm_position != "before" and model.config.norm != "none":
        raise ValueError(
            "planted: with a norm behind attention or MLPs "
            f"(norm_position={model.config.norm_position!r}), what a part writes does "
            "not become less with its weights. Take a model that normalises before."
        )
