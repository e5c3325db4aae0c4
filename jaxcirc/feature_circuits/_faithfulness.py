"""How much of a behaviour features of a circuit keep, and the rest without them."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from .._core import Objective, unknown
from ..circuits import (
    LOGIT_DIFFERENCE,
    Faithfulness,
    Performance,
    check_pairs,
    values_of,
)
from ..models import Transformer
from ..tasks import Pairs
from ._circuit import FeatureCircuit
from ._keep import keep_nodes
from ._latents import activations, check_ablation, latents, mean_latents, patched_with

ERRORS = ("chosen", "keep", "remove")


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
    """How much of the objective circuits of features keep, in one compiled program.

    With C the nodes of a circuit, M all of them, and every node that is not kept put in
    place, `normalised` is (m(C) - m(∅)) / (m(M) - m(∅)): 1 for all nodes, 0 for none,
    exactly (Marks et al. 2024, section 3.3). To be read beside `random_nodes` of the
    same size, and beside `completeness`.

    Args:
        model: The model.
        pairs: Clean and corrupted sequences, with right and wrong answers.
        circuits: One, or many with a leading axis `circuit`, such as those of
            `top(effects, jnp.array([10, 20, 50]))`.
        ablation: What all other nodes are put in place of.
        errors: `chosen`: errors are nodes like others; `keep`: all are kept whatever
            the circuit says, in m(∅) too; `remove`: all are put in place, so that
            features alone have to do it.
        objective: What is measured.
        batch_size: Examples at once.

    Returns:
        Values of all circuits, of the model and of no node, pair by pair; its sizes are
        numbers of nodes.

    Raises:
        ValueError: pairs or options do not fit, or the circuit was found on sequences
            of another length.
    """
    check_pairs(pairs, who="faithfulness")
    check_ablation("faithfulness", ablation)
    if errors not in ERRORS:
        raise ValueError(f"faithfulness: {unknown('errors', errors, ERRORS)}")
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
    # The model itself comes last but one, which no choice about errors changes.
    joined = lambda *xs: jnp.concatenate(xs)
    masks = jax.tree.map(
        joined, _with_errors(many, errors), ends, _with_errors(nothing, errors)
    )
    values, counts = _values(
        model, circuits.dictionaries, pairs, masks, ablation, objective,
        min(batch_size, len(pairs.clean)),
    )  # fmt: skip
    found = Performance(values, counts)
    mean = found.mean
    sizes = FeatureCircuit(many, circuits.dictionaries).size
    return Faithfulness(sizes, mean[:-2], mean[-2], mean[-1], ablation, found)


def completeness(
    model: Transformer, pairs: Pairs, circuits: FeatureCircuit, **options
) -> Faithfulness:
    """What the rest of the model can do without the circuits.

    The `faithfulness` of their complements: near 0 if a circuit has everything that the
    behaviour needs (Marks et al. 2024, section 3.3, under this name).

    Args:
        model: The model.
        pairs: Clean and corrupted sequences, with right and wrong answers.
        circuits: One or many.
        **options: As for `faithfulness`.

    Raises:
        ValueError: as `faithfulness`.
    """
    return faithfulness(model, pairs, circuits.complement(), **options)


@eqx.filter_jit
def _values(model, dictionaries, pairs, masks, ablation, objective, size):
    """The objective under every mask, pair by pair, and which pairs have one."""
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
        return values.T, counts[0]

    with jax.default_matmul_precision("highest"):
        values, counts = jax.lax.map(chunk, places)
    values, counts = values.reshape(-1, values.shape[-1])[:n], counts.reshape(-1)[:n]
    return jnp.where(counts[:, None], values, 0).T, counts


def _with_errors(
    masks: dict[str, Bool[Array, "..."]], errors: str
) -> dict[str, Bool[Array, "..."]]:
    if errors == "chosen":
        return masks
    return {site: x.at[..., -1].set(errors == "keep") for site, x in masks.items()}
