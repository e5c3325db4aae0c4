"""What each feature and error does to a behaviour, predicted from gradients."""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .._core import Objective, student, unknown
from ..circuits import (
    LOGIT_DIFFERENCE,
    check_moves,
    check_pairs,
    check_rule,
    objective_name,
    values_of,
)
from ..models import Transformer
from ..saes import Dictionary
from ..tasks import Pairs
from ._dictionaries import Dictionaries, dictionaries_of, directions
from ._gradients import Rule, along_features, along_inputs, at_clean
from ._latents import (
    activations,
    check_ablation,
    difference,
    latents,
    mean_latents,
    patched_with,
)

METHODS = ("attribution", "integrated_gradients", "integrated_inputs")


class Effects(eqx.Module):
    """The effect of patching each node, by example.

    A node is a feature of a place, or what the place's dictionary leaves over, at one
    position or summed over positions. Its effect is the change of the objective when
    the node is patched: negative where the node helps.

    Args:
        values: Site -> effects, with the axes `example layer pos node`; the last node
            is the error, and `pos` has one entry where positions are summed.
        counts: Which examples have a value of the objective.
        dictionaries: Whose nodes these are.
        method: How they were found.
        ablation: What nodes were patched with.
        objective: Of what they are changes.
    """

    values: dict[str, Float[Array, "example layer pos node"]]
    counts: Bool[Array, " example"]
    dictionaries: Dictionaries
    method: str = eqx.field(static=True)
    ablation: str = eqx.field(static=True)
    objective: str = eqx.field(static=True)

    @property
    def mean(self) -> dict[str, Float[Array, "layer pos node"]]:
        """The mean over the examples that count."""
        number = self.counts.astype(jnp.float32).sum()
        return {site: x.sum(axis=0) / number for site, x in self.values.items()}

    @property
    def error(self) -> dict[str, Float[Array, "layer pos node"]]:
        """The standard error of `mean`, over draws of the examples."""
        n = self.counts.astype(jnp.float32).sum()

        def one(x):
            here = self.counts.reshape(-1, 1, 1, 1)
            off = jnp.where(here, x - (x.sum(axis=0) / n)[None], 0)
            return jnp.sqrt(jnp.square(off).sum(axis=0) / (n - 1) / n)

        return {site: one(x) for site, x in self.values.items()}

    def interval(
        self, level: float = 0.95
    ) -> tuple[
        dict[str, Float[Array, "layer pos node"]],
        dict[str, Float[Array, "layer pos node"]],
    ]:
        """Student's interval of `mean`, over draws of the examples: both ends.

        Args:
            level: Probability that it holds the mean of the population.
        """
        width = student(self.counts.astype(jnp.float32).sum() - 1, level)
        mean, error = self.mean, self.error
        low = {site: x - width * error[site] for site, x in mean.items()}
        return low, {site: x + width * error[site] for site, x in mean.items()}

    def error_share(self) -> dict[str, float]:
        """The share of error nodes in all absolute mean effects, by place.

        Near 1 the dictionaries do not hold what the behaviour runs through, and a
        circuit of features says little about it.
        """
        shares = {}
        for place in self.dictionaries.places:
            sizes = np.abs(np.asarray(self.mean[place.site][place.row]))
            whole = float(sizes.sum())
            shares[place.name] = float(sizes[..., -1].sum()) / whole if whole else 0.0
        return shares


def effects(
    model: Transformer,
    dictionaries: Mapping[str, Dictionary] | Dictionaries,
    pairs: Pairs,
    method: str = "integrated_gradients",
    *,
    steps: int = 10,
    rule: Rule = "left",
    ablation: str = "resample",
    objective: Objective = LOGIT_DIFFERENCE,
    positions: bool = False,
    batch_size: int = 16,
) -> Effects:
    """How the objective changes when a feature or an error is patched, for every one.

    With f the features of a place, ε its error, x the activation that both add up to,
    primes what is put in place and ∂m/∂x a gradient of the objective,

        feature i: (f'_i - f_i) W_dec,i · ∂m/∂x      error: (ε' - ε) · ∂m/∂x

    (Marks et al. 2024, equations 2 and 3). The methods differ in the gradient:
    `attribution` takes it at the clean run, from one forward and backward pass;
    `integrated_gradients` averages it between the clean activation and the patched one,
    one place at a time, which is `steps` passes for each place; `integrated_inputs`
    averages it between corrupted and clean embeddings, `steps` passes for all places.

    Args:
        model: The model.
        dictionaries: Of some places, by their names; see `dictionaries_of`.
        pairs: Clean and corrupted sequences, with right and wrong answers.
        method: As said.
        steps: Intervals of the line.
        rule: Where an interval is looked at.
        ablation: What a node is patched with: `resample` (what it is on the corrupted
            sequence), `mean` (that, on average over pairs, by position) or `zero`.
        objective: What changes.
        positions: Whether a node is told apart by its position; else effects are summed
            over positions.
        batch_size: Examples at once.

    Returns:
        Effects of all nodes, by example.

    Raises:
        ValueError: pairs, dictionaries or options do not fit; or the objective is flat
            at the clean run, where attribution says 0 of everything.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc import circuits, feature_circuits, saes
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> from jaxcirc.tasks import Induction
        >>> config = TransformerConfig(d_vocab=8, n_ctx=9, n_layers=2, d_model=8)
        >>> model = Transformer(config, key=jr.key(0))
        >>> pairs = circuits.pairs(Induction(7, 9, 3, 4), 4, key=jr.key(1))
        >>> sae = saes.TopK(d_in=8, d_sae=16, k=4).init(jr.key(2))
        >>> found = feature_circuits.effects(
        ...     model, {"blocks.0.hook_resid_post": sae}, pairs, "attribution"
        ... )
        >>> found.mean["resid_post"].shape  # layers, positions together, 16 and error
        (2, 1, 17)
    """
    check_pairs(pairs, who="effects")
    check_rule("effects", steps, rule)
    check_ablation("effects", ablation)
    if method not in METHODS:
        raise ValueError(f"effects: {unknown('method', method, METHODS)}")
    if method == "attribution":
        check_moves(model, pairs, objective, "effects")
    stacked = dictionaries_of(model, dictionaries)
    size = min(batch_size, len(pairs.clean))
    values, counts = _in_chunks(
        model, stacked, pairs, objective, method, steps, rule, ablation, positions, size
    )
    name = objective_name(objective)
    return Effects(values, counts, stacked, method, ablation, name)


@eqx.filter_jit
def _in_chunks(
    model, dictionaries, pairs, objective, method, steps, rule, ablation, positions,
    size,
):  # fmt: skip
    mean = mean_latents(model, dictionaries, pairs) if ablation == "mean" else None
    n = len(pairs.clean)
    rows = jnp.minimum(jnp.arange(-(-n // size) * size), n - 1).reshape(-1, size)

    def chunk(rows):
        some = jax.tree.map(lambda x: x[rows], pairs)
        logits, acts = activations(model, dictionaries, some.clean)
        counts = values_of(objective, logits, some)[1]
        own = latents(dictionaries, acts)
        instead = patched_with(ablation, model, dictionaries, some, own, mean)
        if method == "attribution":
            slopes = at_clean(model, dictionaries, some, objective)
        elif method == "integrated_inputs":
            slopes = along_inputs(model, dictionaries, some, objective, steps, rule)
        else:
            change = difference(dictionaries, own, instead)
            slopes = along_features(model, some, objective, change, steps, rule)
        return _of_nodes(dictionaries, own, instead, slopes, positions), counts

    with jax.default_matmul_precision("highest"):
        values, counts = jax.lax.map(chunk, rows)
    joined = lambda x: x.reshape(-1, *x.shape[2:])[:n]
    return jax.tree.map(joined, values), joined(counts)


def _of_nodes(dictionaries, own, instead, slopes, positions):
    """Effects by site, [example, layer, pos, node], 0 where there is no dictionary."""
    found = {}
    for site, d in dictionaries.by_site.items():
        along = eqx.filter_vmap(lambda d, g: g @ directions(d).T)(d, slopes[site])
        features = (instead.features[site] - own.features[site]) * along
        errors = ((instead.errors[site] - own.errors[site]) * slopes[site]).sum(-1)
        both = jnp.concatenate([features, errors[..., None]], axis=-1)
        both = jnp.where(dictionaries.here[site][:, None, None, None], both, 0)
        if not positions:
            both = both.sum(axis=2, keepdims=True)
        found[site] = jnp.moveaxis(both, 0, 1)
    return found
