"""Activations as features and what these leave over."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import unknown
from ..models import Transformer, capture, in_blocks
from ..tasks import Pairs
from ._dictionaries import Dictionaries, directions

ABLATIONS = ("resample", "mean", "zero")


class Latents(NamedTuple):
    """Features and errors of the activations at all sites, x = written(f) + b + ε.

    Args:
        features: Site -> f, with the axes `layer example pos`; `example` has one entry
            where all are alike.
        errors: Site -> ε = x - x̂.
    """

    features: dict[str, Float[Array, "layer example pos d_sae"]]
    errors: dict[str, Float[Array, "layer example pos d_model"]]


def activations(
    model: Transformer, dictionaries: Dictionaries, tokens: Array, edits=()
) -> tuple[Array, dict[str, Float[Array, "layer example pos d_model"]]]:
    """Logits, and what each site has in every layer.

    Args:
        model: The model.
        dictionaries: Whose sites these are.
        tokens: What it reads.
        edits: Interventions on the way.
    """
    logits, acts = capture(model, tokens, tuple(dictionaries.by_site), edits=edits)
    within = {site: x if in_blocks(site) else x[None] for site, x in acts.items()}
    return logits, within


def latents(dictionaries: Dictionaries, acts: dict[str, Array]) -> Latents:
    """Features and errors of activations.

    Args:
        dictionaries: One stack for each site.
        acts: Site -> activations with a leading axis `layer`.
    """
    split = eqx.filter_vmap(lambda d, x: (d.encode(x), x - d(x)))
    both = {site: split(d, acts[site]) for site, d in dictionaries.by_site.items()}
    return Latents(
        {site: f for site, (f, _) in both.items()},
        {site: e for site, (_, e) in both.items()},
    )


def difference(
    dictionaries: Dictionaries, own: Latents, instead: Latents
) -> dict[str, Float[Array, "layer example pos d_model"]]:
    """What patching all nodes of a place adds to its activation.

    Args:
        dictionaries: One stack for each site.
        own: Features and errors as they are.
        instead: Those in their place.
    """
    written = eqx.filter_vmap(lambda d, f: f @ directions(d))
    return {
        site: written(d, instead.features[site] - own.features[site])
        + (instead.errors[site] - own.errors[site])
        for site, d in dictionaries.by_site.items()
    }


def check_ablation(who: str, ablation: str) -> None:
    """Refuse ablations that there are not.

    Args:
        who: Who complains.
        ablation: What was asked for.

    Raises:
        ValueError: there is no such ablation.
    """
    if ablation not in ABLATIONS:
        raise ValueError(f"{who}: {unknown('ablation', ablation, ABLATIONS)}")


def mean_latents(
    model: Transformer, dictionaries: Dictionaries, pairs: Pairs
) -> Latents:
    """Features and errors of the corrupted runs by position, the mean of all pairs.

    Args:
        model: The model.
        dictionaries: Of its places.
        pairs: All pairs.
    """
    one = lambda tokens: latents(
        dictionaries, activations(model, dictionaries, tokens[None])[1]
    )
    every = lambda tokens: jax.tree.map(lambda x: x[:, 0], one(tokens))
    total = jax.tree.map(
        lambda x: jnp.zeros(x.shape, x.dtype),
        jax.eval_shape(every, pairs.corrupted[0]),
    )
    n = len(pairs.corrupted)

    # One after the other: all at once would hold every latent of every example.
    def add(total, tokens):
        return jax.tree.map(jnp.add, total, every(tokens)), None

    total, _ = jax.lax.scan(add, total, pairs.corrupted)
    return jax.tree.map(lambda x: (x / n)[:, None], total)


def patched_with(
    ablation: str,
    model: Transformer,
    dictionaries: Dictionaries,
    pairs: Pairs,
    own: Latents,
    mean: Latents | None,
) -> Latents:
    """What nodes are patched with, for some pairs.

    Args:
        ablation: `resample`: what they are on the corrupted sequence; `mean`: what they
            are there on average over all pairs, by position; `zero`: nothing.
        model: The model.
        dictionaries: Of its places.
        pairs: The pairs in question.
        own: What they are on the clean sequences.
        mean: Of `mean_latents`, for `mean`.
    """
    if ablation == "zero":
        return jax.tree.map(jnp.zeros_like, own)
    if ablation == "mean":
        assert mean is not None
        return jax.tree.map(lambda x, like: jnp.broadcast_to(x, like.shape), mean, own)
    return latents(dictionaries, activations(model, dictionaries, pairs.corrupted)[1])
