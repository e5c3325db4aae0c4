"""What each latent is about: examples, densities, logit effects, neighbours."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..models import Transformer, capture
from ._assignment import cosines
from ._dictionary import Dictionary
from ._match import rows
from ._places import Places, places_of

# Rows of a table of similarities or logits at a time.
ROWS = 512


class Features(NamedTuple):
    """What there is to look at of every latent of a dictionary.

    Args:
        tokens: The sequences.
        examples: For each latent the sequences in which it is largest, in order; -1
            where it fires in fewer.
        acts: Its activations at all positions of these.
        density: The share of positions at which it fires.
        largest: Its largest activation.
        histogram: How many of its activations that are not 0 are in each of 20 bins
            from 0 to the largest.
        promoted: The tokens whose logits what it writes raises most.
        promoted_by: By how much, for an activation of 1.
        suppressed: The tokens whose logits it lowers most.
        suppressed_by: By how much.
        near: The latents with the nearest decoder rows.
        near_cosine: Their cosines.
    """

    tokens: Int[np.ndarray, "sequence pos"]
    examples: Int[np.ndarray, "latent example"]
    acts: Float[np.ndarray, "latent example pos"]
    density: Float[np.ndarray, " latent"]
    largest: Float[np.ndarray, " latent"]
    histogram: Int[np.ndarray, "latent bin"]
    promoted: Int[np.ndarray, "latent token"]
    promoted_by: Float[np.ndarray, "latent token"]
    suppressed: Int[np.ndarray, "latent token"]
    suppressed_by: Float[np.ndarray, "latent token"]
    near: Int[np.ndarray, "latent neighbour"]
    near_cosine: Float[np.ndarray, "latent neighbour"]


def features(
    dictionary: Dictionary,
    model: Transformer,
    site: str,
    tokens: Int[Array | np.ndarray, "sequence pos"],
    *,
    layer: int | None = None,
    skip: int = 0,
    n_examples: int = 5,
    n_tokens: int = 6,
    n_near: int = 5,
    batch_size: int = 16,
) -> Features:
    """Examples, densities, logit effects and neighbours of every latent.

    Sequences are looked through twice: once for the largest activations, of which each
    sequence has one for a latent, and once for what the chosen ones look like. Logit
    effects are direct: the decoder row times the unembedding, without what later layers
    and the final norm make of it. `report.feature_page` draws the result.

    Args:
        dictionary: One dictionary that reads and writes one site.
        model: The model.
        site: What the dictionary reads.
        tokens: Sequences to look through.
        layer: The layer, where the name does not say it.
        skip: Positions at the beginning of each sequence that are left out.
        n_examples: Sequences for each latent.
        n_tokens: Tokens that it promotes, and that it suppresses.
        n_near: Neighbours.
        batch_size: Sequences at a time.

    Returns:
        Arrays with an axis of latents.

    Raises:
        ValueError: the site, the layer or the width do not fit, or the dictionary is a
            stack.
    """
    places = places_of(dictionary, model, site, None, layer)
    if dictionary.W_enc.ndim != 2:
        raise ValueError(
            f"features: takes one dictionary; got a stack {dictionary.W_enc.shape}. "
            "Take one of it by an index."
        )
    tokens = np.asarray(tokens)
    n, n_pos = tokens.shape
    size = min(batch_size, n)
    padded = np.pad(tokens, ((0, -n % size), (0, 0)))

    def read(i: int) -> np.ndarray:
        f = np.array(_latents(dictionary, model, places, padded[i : i + size]))
        f[:, :skip] = 0
        return f[: n - i]

    starts = range(0, n, size)
    best, largest, counts = _best(read, starts, n, dictionary.d_sae, n_examples)
    acts, histogram = _looks(read, starts, best, largest, n_pos)
    up, down = _logit_effects(dictionary, model, n_tokens)
    near, near_cosine = _near(dictionary, n_near)
    return Features(
        tokens=tokens,
        examples=np.where(acts.max(axis=2) > 0, best, -1),
        acts=acts,
        density=counts / (n * max(n_pos - skip, 1)),
        largest=largest,
        histogram=histogram,
        promoted=up[0],
        promoted_by=up[1],
        suppressed=down[0],
        suppressed_by=down[1],
        near=near,
        near_cosine=near_cosine,
    )


@eqx.filter_jit
def _latents(dictionary, model, places: Places, tokens) -> Array:
    """Latents [sequence, pos, latent]."""
    _, acts = capture(model, tokens, (places.site,))
    x = acts[places.site]
    x = x[places.layers[0]] if places.in_blocks else x
    return dictionary.encode(x.reshape(*tokens.shape, -1))


def _best(read, starts, n, n_latents, n_examples):
    """For each latent where it is largest and how large, and how often it fires."""
    top = np.zeros((n, n_latents), np.float32)
    counts = np.zeros(n_latents, np.int64)
    for i in starts:
        f = read(i)
        top[i : i + len(f)] = f.max(axis=1)
        counts += (f != 0).sum(axis=(0, 1))
    order = np.argsort(-top, axis=0, kind="stable")[:n_examples].T
    return order, top.max(axis=0), counts


def _looks(read, starts, best, largest, n_pos):
    """Activations along the chosen sequences, and histograms over all."""
    n_latents, n_examples = best.shape
    acts = np.zeros((n_latents, n_examples, n_pos), np.float32)
    histogram = np.zeros((n_latents, 20), np.int64)
    for i in starts:
        f = read(i)
        latent, place = np.nonzero((best >= i) & (best < i + len(f)))
        acts[latent, place] = f[best[latent, place] - i, :, latent]
        sequence, pos, latent = np.nonzero(f)
        share = f[sequence, pos, latent] / largest[latent]
        places = np.minimum((share * 20).astype(int), 19)
        np.add.at(histogram, (latent, places), 1)
    return acts, histogram


@jax.jit
def _effects(rows: Array, W_U: Array) -> Array:
    return jnp.matmul(rows.astype(jnp.float32), W_U.astype(jnp.float32))


def _logit_effects(dictionary, model, n_tokens):
    """Tokens promoted and suppressed, with by how much; none at another width."""
    directions = dictionary.W_dec
    if dictionary.scales:
        lengths = dictionary.norms[:, None]
        directions = directions / jnp.where(lengths == 0, 1, lengths)
    # A tied model's unembedding is its embedding.
    W_U = model.W_E.T if model.W_U is None else model.W_U
    if directions.shape[1] != W_U.shape[0]:
        none = np.zeros((dictionary.d_sae, 0), int), np.zeros((dictionary.d_sae, 0))
        return none, none
    up, down = [], []
    for i in range(0, dictionary.d_sae, ROWS):
        effect = np.asarray(_effects(directions[i : i + ROWS], W_U))
        for found, sign in ((up, -1), (down, 1)):
            order = np.argsort(sign * effect, axis=1, kind="stable")[:, :n_tokens]
            found.append((order, np.take_along_axis(effect, order, axis=1)))
    joined = lambda parts: tuple(np.concatenate(p) for p in zip(*parts, strict=True))
    return joined(up), joined(down)


def _near(dictionary, n_near):
    """The nearest other latents of each."""
    directions = rows(dictionary, "decoder")
    near, cosine = [], []
    for i in range(0, len(directions), ROWS):
        table = np.array(cosines(directions[i : i + ROWS], directions))
        table[np.arange(len(table)), i + np.arange(len(table))] = -math.inf
        order = np.argsort(-table, axis=1, kind="stable")[:, :n_near]
        near.append(order)
        cosine.append(np.take_along_axis(table, order, axis=1))
    return np.concatenate(near), np.concatenate(cosine)
