"""What each part of a known solution is worth, in accuracy and in its coefficient."""

import dataclasses
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from ..._core import stack_trees
from ...metrics import cross_entropy, rank_0_rate
from ...models import Transformer, TransformerConfig
from ...tasks import AbstractTask, Batch
from ._llc import STATUSES
from ._llc_solution import solution_of
from ._measurement import MeasurementSpec, Once
from ._quantity import Outcome, Quantity, Role
from ._sampling import TINY, Sampling, sampled, train_examples

Heads = tuple[tuple[int, int], ...]


class _Ablated(eqx.Module):
    """A model with parts silenced, and what it says itself.

    The masks and `own` are not sampled: they are no weights, and a silenced part has
    none that the loss could feel.
    """

    model: Transformer
    keep_heads: Bool[Array, "layer head"]
    keep_mlps: Bool[Array, " layer"]
    own: Float[Array, "example pos answer"]

    def log_probabilities(self, tokens: Int[Array, "example pos"]) -> Array:
        """Log probabilities of all answers at every position."""
        return jax.nn.log_softmax(self.silenced()(tokens))

    def silenced(self) -> Transformer:
        """The model in which silenced heads and MLPs write nothing."""
        blocks = self.model.blocks
        W_O = jnp.where(self.keep_heads[..., None, None], blocks.attn.W_O, 0)
        model = eqx.tree_at(lambda m: m.blocks.attn.W_O, self.model, W_O)
        mlp = blocks.mlp
        if mlp is None:
            return model
        kept = [
            jnp.where(self.keep_mlps.reshape(-1, *[1] * (x.ndim - 1)), x, 0)
            for x in (mlp.W_out, mlp.b_out)
            if x is not None
        ]
        return eqx.tree_at(
            lambda m: [
                x for x in (m.blocks.mlp.W_out, m.blocks.mlp.b_out) if x is not None
            ],
            model,
            kept,
        )


def _divergence(ablated: _Ablated, data: tuple) -> Float[Array, " example"]:
    """KL from what the model said at w* to what it says now, by example; 0 at w*."""
    tokens, mask, place = data
    before = ablated.own[place]
    after = ablated.log_probabilities(tokens)
    each = (jnp.exp(before) * (before - after)).sum(axis=-1)
    counted = mask.sum(axis=-1).astype(each.dtype)
    return jnp.where(mask, each, 0).sum(axis=-1) / counted


class Ablations(Once):
    """The task's solution with each of its parts silenced, all in one sweep.

    A coefficient here is that of the function which the model still computes: the loss
    is the divergence from what it says itself, so w* is a minimum for every ablation.
    Loss and accuracy are those of the task.
    """

    sampling: Sampling

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse a task without a solution, and what sampling would refuse.

        Args:
            config: The config of the study's models.
            task: The study's task.

        Raises:
            ValueError: there is no solution, a number does not fit, or an `objective`
                is given, which has no part in it.
        """
        solution_of(task, "llc_ablations")
        if self.sampling.objective.name != "cross_entropy":
            raise ValueError(
                "llc_ablations: takes no `objective`; an ablated program is measured "
                "by its divergence from its own answers. Leave it out."
            )
        self.sampling.check(config, task)

    def __call__(
        self,
        task: AbstractTask,
        inputs: Mapping[str, PyTree],
        *,
        key: Key[Array, ""],
    ) -> Outcome:
        """Loss, accuracy and coefficient by `ablation`, of which the first is none."""
        del inputs
        solution = solution_of(task, "llc_ablations")
        parts = _parts(solution)
        examples = train_examples(task, self.sampling.n_examples, key)
        models = [
            _ablated(solution, heads, mlps, examples.tokens)
            for heads, mlps in parts.values()
        ]
        # Ablations are numbers and not programs, so all are one sweep.
        stacked = stack_trees(models)
        # Shapes of ones: the mask broadcasts and takes no memory.
        weights = jax.tree.map(
            lambda x: jnp.ones((1,) * x.ndim, bool),
            eqx.filter(models[0], eqx.is_inexact_array),
        )
        mask = eqx.tree_at(lambda a: a.own, weights, ~weights.own)
        data = (examples.tokens, examples.mask, jnp.arange(len(examples.tokens)))
        found = self.sampling.sweep(
            _divergence, stacked, data, key, masks={"weights": mask}
        ).estimates[:, 0]
        held_out = task.examples("test")
        if held_out is None:
            held_out = task.sample(self.sampling.n_examples, split="test", key=key)
        scores = np.asarray(_scores(stacked, held_out))

        def row(values, units="", meaning="", role: Role = "series") -> Quantity:
            return Quantity(
                np.array(values, np.float64), ("ablation",), units, meaning, role=role
            )

        status = row(
            [STATUSES.index(e.status) for e in found],
            meaning="of the estimate",
            role="diagnostic",
        )
        quantities = {
            "loss": row(scores[:, 0], "nats", "surprise at the right answer, test"),
            "rank_0_rate": row(scores[:, 1], "share", "right answer comes first, test"),
            "llc": row([e.value for e in found], meaning="of the function it computes"),
            "standard_error": row(
                [e.standard_error for e in found], meaning="of llc", role="diagnostic"
            ),
            "status": dataclasses.replace(status, codes=STATUSES),
        }
        return Outcome(quantities)

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Names of the parts that are silenced."""
        del config, key
        return {"ablation": list(_parts(solution_of(task, "llc_ablations")))}


def _parts(model: Transformer) -> dict[str, tuple[Heads, tuple[int, ...]]]:
    """Every head, MLP and layer that writes anything, by name."""
    attn, mlp = model.blocks.attn, model.blocks.mlp
    heads = np.abs(np.asarray(attn.W_O)).max(axis=(2, 3)) > 0
    layers = range(model.config.n_layers)
    writes = [mlp is not None and bool(jnp.abs(mlp.W_out[i]).max() > 0) for i in layers]
    parts: dict[str, tuple[Heads, tuple[int, ...]]] = {"nothing": ((), ())}
    for layer in layers:
        own = tuple((layer, int(head)) for head in np.nonzero(heads[layer])[0])
        mlps = (layer,) if writes[layer] else ()
        parts |= {f"L{layer}H{head}": (((layer, head),), ()) for _, head in own}
        parts |= {f"L{layer} MLP": ((), mlps)} if mlps else {}
        if len(own) + len(mlps) > 1:
            parts[f"layer {layer}"] = (own, mlps)
    return parts


def _ablated(
    model: Transformer, heads: Heads, mlps: tuple[int, ...], tokens: Array
) -> _Ablated:
    """The model without some heads and MLPs, with what it says on the examples."""
    c = model.config
    keep_heads = np.ones((c.n_layers, c.n_heads), bool)
    for place in heads:
        keep_heads[place] = False
    keep_mlps = ~np.isin(np.arange(c.n_layers), mlps)
    blank = _Ablated(
        model, jnp.asarray(keep_heads), jnp.asarray(keep_mlps), jnp.zeros((0, 0, 0))
    )
    return eqx.tree_at(lambda a: a.own, blank, _say(blank, tokens))


@eqx.filter_jit
def _say(ablated: _Ablated, tokens: Array) -> Array:
    """Log probabilities of answers at full precision."""
    with jax.default_matmul_precision("highest"):
        return ablated.log_probabilities(tokens)


@eqx.filter_jit
def _scores(stacked: _Ablated, batch: Batch) -> Float[Array, "ablation 2"]:
    """Loss and accuracy of every ablation."""

    def score(ablated: _Ablated) -> Array:
        with jax.default_matmul_precision("highest"):
            logits = ablated.silenced()(batch.tokens)
        answers = (logits, batch.targets, batch.mask)
        return jnp.stack([cross_entropy(*answers), rank_0_rate(*answers)])

    return jax.lax.map(score, stacked)


SPEC = MeasurementSpec(
    name="llc_ablations",
    summary="accuracy and LLC of a known solution without each of its parts",
    build=sampled(Ablations),
    tiny=TINY,
    tiny_study=("task={name: rasp, program: sort_unique}",),
)
