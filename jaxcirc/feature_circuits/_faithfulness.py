"""How much of a behaviour features of a circuit keep, and the rest without them."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._core import Objective, unknown
from ..circuits import LOGIT_DIFFERENCE, check_pairs, values_of
from ..models import Transformer
from ..tasks import Pairs
from ._circuit import FeatureCircuit
from ._keep import keep_nodes
from ._latents import (
    activations,
    check_ablation,
    latents,
    mean_latents,
    patched_with,
)


class Faithfulness(eqx.Module):
    """What circuits of features keep of a behaviour, and what is left without them.

    Args:
        sizes: Nodes of each circuit, errors that are kept besides not counted.
        values: Mean of the objective with the circuit alone, m(C).
        without: Mean with all but the circuit, m(M - C).
        full: Of the model itself, m(M).
        none: With every node put in place, m(∅).
        ablation: What nodes are put in place of.
        errors: What was done with error nodes.
    """

    sizes: Int[Array, " circuit"]
    values: Float[Array, " circuit"]
    without: Float[Array, " circuit"]
    full: Float[Array, ""]
    none: Float[Array, ""]
    ablation: str = eqx.field(static=True)
    errors: str = eqx.field(static=True)

    @property
    def faithfulness(self) -> Float[Array, " circuit"]:
        """(m(C) - m(∅)) / (m(M) - m(∅)): 1 for all nodes, 0 for none, exactly."""
        return _share(self.values, self.full, self.none)

    @property
    def completeness(self) -> Float[Array, " circuit"]:
        """(m(M - C) - m(∅)) / (m(M) - m(∅)): what the rest can do without the circuit.

        Near 0 if the circuit has everything that the behaviour needs (Marks et al.
        2024, section 3.3); they plot it under this name.
        """
        return _share(self.without, self.full, self.none)


def faithfulness(
    model: Transformer,
    pairs: Pairs,
    circuits: FeatureCircuit,
    *,
    ablation: str = "mean",
    errors: str = "chosen",
    objective: Objective = LOGIT_DIFFERENCE,
    batch_size: int = 16,
) -> Faithfulness:
    """Faithfulness and completeness of circuits of features, in one compiled program.

    Args:
        model: The model.
        pairs: Clean and corrupted sequences, with right and wrong answers.
        circuits: One, or many with a leading axis `circuit`, such as those of
            `top(effects, jnp.array([10, 20, 50]))`.
        ablation: What all other nodes are put in place of.
        errors: `chosen`: errors are nodes like others; `keep`: all are kept whatever
            the circuit says; `remove`: all are put in place, so that features alone
            have to do it. With `keep`, m(∅) keeps them too.
        objective: What is measured.
        batch_size: Examples at once.

    Returns:
        Means over the pairs that have an answer.

    Raises:
        ValueError: pairs or options do not fit, or masks are of another model.
    """
    check_pairs(pairs, who="faithfulness")
    check_ablation("faithfulness", ablation)
    if errors not in ("chosen", "keep", "remove"):
        known = ("chosen", "keep", "remove")
        raise ValueError(f"faithfulness: {unknown('errors', errors, known)}")
    many = jax.tree.map(lambda x: x if x.ndim == 4 else x[None], circuits.keep)
    n_pos = pairs.clean.shape[1]
    for site, x in many.items():
        if x.shape[2] not in (1, n_pos):
            raise ValueError(
                f"faithfulness: the circuit has {x.shape[2]} positions at {site!r} and "
                f"the pairs have {n_pos}. Find it on sequences of this length, or with "
                "`positions=False`."
            )
    ends = {site: jnp.ones_like(x[:1]) for site, x in many.items()}
    nothing = jax.tree.map(jnp.zeros_like, ends)
    joined = lambda *xs: jnp.concatenate(xs)
    masks = jax.tree.map(joined, many, jax.tree.map(lambda x: ~x, many), nothing)
    masks = {site: _with_errors(x, errors) for site, x in masks.items()}
    # Last the model itself, which no choice about errors changes.
    masks = jax.tree.map(joined, masks, ends)
    size = min(batch_size, len(pairs.clean))
    mean = _means(model, circuits.dictionaries, pairs, masks, ablation, objective, size)
    n = (len(mean) - 2) // 2
    sizes = FeatureCircuit(many, circuits.dictionaries).size
    return Faithfulness(
        jnp.asarray(sizes), mean[:n], mean[n : 2 * n], mean[-1], mean[-2], ablation,
        errors,
    )  # fmt: skip


@eqx.filter_jit
def _means(model, dictionaries, pairs, masks, ablation, objective, size):
    """The mean of the objective under every mask."""
    mean = mean_latents(model, dictionaries, pairs) if ablation == "mean" else None
    n = len(pairs.clean)
    places = jnp.arange(-(-n // size) * size).reshape(-1, size)

    def chunk(places):
        some = jax.tree.map(lambda x: x[jnp.minimum(places, n - 1)], pairs)
        own = latents(dictionaries, activations(model, dictionaries, some.clean)[1])
        instead = patched_with(ablation, model, dictionaries, some, own, mean)

        def one(keep):
            edits = keep_nodes(dictionaries, keep, instead)
            return values_of(objective, model(some.clean, edits=edits), some)

        values, counts = jax.lax.map(one, masks)
        return values.T, counts[0] & (places < n)

    with jax.default_matmul_precision("highest"):
        values, counts = jax.lax.map(chunk, places)
    values, counts = values.reshape(-1, values.shape[-1]), counts.reshape(-1)
    number = counts.astype(values.dtype).sum()
    return jnp.where(counts[:, None], values, 0).sum(axis=0) / number


def _with_errors(keep: Bool[Array, "..."], errors: str) -> Bool[Array, "..."]:
    return keep if errors == "chosen" else keep.at[..., -1].set(errors == "keep")


def _share(values, full, none):
    # One after the other, as in `circuits.faithfulness`: by the inverse of the whole,
    # all nodes would keep 0.9999999 of it.
    return jax.lax.map(lambda value: (value - none) / (full - none), values)
