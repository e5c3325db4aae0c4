"""How good dictionaries are at a site of a model."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from ..metrics import kl_divergence, surprise
from ..models import Transformer, capture
from ..tasks import AbstractTask, Batch
from ._batches import Batches, batches_of
from ._density import Firing, firing_of, no_firing, with_firing
from ._dictionary import Dictionary
from ._places import Places, places_of
from ._reconstruction import Reconstruction, no_tokens, result_of, with_batch
from ._recovered import PutInPlace, Recovered
from ._running import Running


class Quality(NamedTuple):
    """What is known of a dictionary, or of a stack with its axes in front.

    Args:
        reconstruction: How near reconstructions are: MSE, FVU, cosine, ….
        firing: How often latents fire: L0, densities, dead and dense shares.
        recovered: What the model loses: cross-entropies, divergences, their scores.
    """

    reconstruction: Reconstruction
    firing: Firing
    recovered: Recovered


def evaluate(
    dictionary: Dictionary,
    model: Transformer,
    site: str,
    data: AbstractTask | Batch | Int[Array | np.ndarray, "example pos"],
    *,
    target: str | None = None,
    layer: int | Int[Array | np.ndarray, "*member"] | None = None,
    where: Bool[Array | np.ndarray, "example_where pos_where"] | None = None,
    skip: int = 0,
    n_examples: int = 64,
    batch_size: int = 8,
    key: Key[Array, ""],
) -> Quality:
    """Reconstruction, sparsity and recovered loss of dictionaries at a site.

    The model runs on all examples, in one compiled program: as it is, with the site set
    to zero, to its mean, and to what each dictionary makes of it. Members of a stack
    see the same tokens one after the other, and clean and ablated runs are shared. All
    sums are over the data set and not over batches, so `batch_size` is a matter of
    memory.

    The first position of a sequence is often unlike all others (a BOS token, an
    attention sink): its norm is large, and it decides what a mean is. With `skip=1` it
    is neither judged nor replaced; by default it is both. What is padding belongs into
    `where`.

    Args:
        dictionary: A dictionary, or a stack of them: arrays with more axes in front.
        model: The model.
        site: What the dictionary reads: `resid_post`, or `blocks.1.hook_resid_post`.
        data: A task, of which `n_examples` of the split `test` are drawn; examples; or
            ids, of which each is to predict the next.
        target: The site that it stands for, if that is another one (transcoders).
        layer: The layer, where the names do not say it; for a stack also one for each
            member.
        where: Positions of the examples that are judged and replaced; all by default.
        skip: How many positions at the beginning of each sequence are left alone.
        n_examples: How many examples of a task.
        batch_size: Examples at a time.
        key: Random key of the examples of a task.

    Returns:
        The measures, whose arrays have the axes of the stack.

    Raises:
        ValueError: the model has no such site, the layer is missing or not there, the
            dictionary has another width or is a crosscoder, or `where`, `skip` or
            `batch_size` leave nothing to judge.

    Example:
        A dictionary that is not trained yet loses most of what there is.

        >>> import jax.random as jr
        >>> from jaxcirc import saes
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(d_vocab=20, n_ctx=8, n_layers=2, d_model=16)
        >>> model = Transformer(config, key=jr.key(0))
        >>> one = saes.TopK(d_in=16, d_sae=64, k=4).init(jr.key(1))
        >>> tokens = jr.randint(jr.key(2), (16, 8), 0, 20)
        >>> found = saes.evaluate(
        ...     one, model, "resid_post", tokens, layer=0, skip=1, key=jr.key(3)
        ... )
        >>> int(found.reconstruction.n_tokens), float(found.firing.l0)
        (112, 4.0)
        >>> 0 < float(found.reconstruction.fvu) < 2
        True
    """
    members = dictionary.W_enc.shape[:-2]
    places = places_of(dictionary, model, site, target, layer)
    batches = batches_of(data, where, skip, n_examples, batch_size, key)
    flat = jax.tree.map(
        lambda x: x.reshape(-1, *x.shape[len(members) :]),
        eqx.filter(dictionary, eqx.is_array),
    )
    rest = eqx.filter(dictionary, eqx.is_array, inverse=True)
    found = _evaluate(flat, rest, model, places, batches)
    return jax.tree.map(lambda x: x.reshape(*members, *x.shape[1:]), found)


class _Losses(NamedTuple):
    """Sums over places: surprise, and divergence from the clean prediction."""

    ce: Running
    kl: Running


@eqx.filter_jit
def _evaluate(flat, rest, model, places: Places, batches: Batches) -> Quality:
    n_members = len(places.of_member)
    width = math.prod(places.target_shape)
    mean = _mean_activation(model, places, batches, width)
    read = lambda member: eqx.combine(member, rest)
    one = read(jax.tree.map(lambda x: x[0], flat))
    nothing = lambda n: _Losses(Running.zero((n,)), Running.zero((n,)))
    many = lambda sums: jax.tree.map(
        lambda x: jnp.broadcast_to(x, (n_members, *x.shape)), sums
    )
    start = (
        many(no_tokens(width)),
        many(no_firing(one.d_sae)),
        (nothing(1), nothing(len(places.layers)), nothing(len(places.layers))),
        nothing(n_members),
        jnp.zeros((), jnp.int32),
    )

    def step(sums, batch):
        seen, fired, ablated, replaced, n = sums
        examples, where = batch
        wanted = dict.fromkeys((places.site, places.target))
        clean, acts = capture(model, examples.tokens, tuple(wanted))
        losses = _losses_of(model, clean, examples, where, places)
        x, y = (_of_layers(acts[s], places) for s in (places.site, places.target))
        # Both ablations in one loop: one more run of the model to compile, not two.
        ablations = jnp.zeros_like(y), jnp.broadcast_to(mean[:, None], y.shape)
        twice = jnp.tile(places.layers, 2), jnp.concatenate(ablations)
        zero, middle = zip(
            *(jnp.split(v, 2) for v in jax.lax.map(lambda one: losses(*one), twice)),
            strict=True,
        )

        def of_member(args):
            member, place, seen, fired = args
            member, inputs, outputs = read(member), x[place], y[place]
            f, made = member.encode(inputs), member(inputs).astype(jnp.float32)
            seen = with_batch(seen, outputs, made, where.reshape(-1))
            fired = with_firing(fired, f, where.reshape(-1))
            return seen, fired, losses(places.layers[place], made)

        seen, fired, new = jax.lax.map(of_member, (flat, places.of_member, seen, fired))
        at_rest = _sum_of(clean, clean, examples)
        clean_losses = tuple(v[None] for v in at_rest)
        ablated = tuple(
            _added(old, more)
            for old, more in zip(ablated, (clean_losses, zero, middle), strict=True)
        )
        n = n + examples.mask.sum(dtype=jnp.int32)
        return (seen, fired, ablated, _added(replaced, new), n), None

    sums, _ = jax.lax.scan(step, start, (batches.examples, batches.where))
    return _quality(*sums, places)


def _added(sums: _Losses, more) -> _Losses:
    return _Losses(*(old.plus(new) for old, new in zip(sums, more, strict=True)))


def _of_layers(acts: Array, places: Places) -> Float[Array, "layer token width"]:
    """The layers that are asked for, as rows of tokens."""
    chosen = acts[places.layers] if places.in_blocks else acts[None]
    n_tokens = math.prod(chosen.shape[1:3])
    return chosen.reshape(len(places.layers), n_tokens, -1).astype(jnp.float32)


def _sum_of(clean: Array, logits: Array, examples: Batch) -> tuple[Array, Array]:
    """Surprise and divergence, summed over the places that count."""
    total = lambda x: jnp.where(examples.mask, x, 0).sum()
    return (
        total(surprise(logits, examples.targets)),
        total(kl_divergence(clean, logits)),
    )


def _losses_of(model, clean, examples: Batch, where, places: Places):
    """From a layer and what is put there to what the model loses by it."""

    def losses(layer, value):
        here = None
        if places.in_blocks:
            here = jnp.arange(model.config.n_layers) == layer
        shaped = value.reshape(*where.shape, *places.target_shape)
        put = PutInPlace(places.target, shaped, where, here)
        # Rolled, since there are several runs to compile; without gradients an unrolled
        # loop is hardly faster.
        changed = model(examples.tokens, edits=(put,), loop="scan")
        return _sum_of(clean, changed, examples)

    return losses


def _mean_activation(model, places: Places, batches: Batches, width: int):
    """The mean of the target over all positions that count, for each layer."""

    def step(sums, batch):
        total, n = sums
        examples, where = batch
        _, acts = capture(model, examples.tokens, (places.target,))
        flat = where.reshape(-1)
        rows = jnp.where(
            flat[None, :, None], _of_layers(acts[places.target], places), 0
        )
        return (total.plus(rows.sum(axis=1)), n + flat.sum(dtype=jnp.int32)), None

    start = Running.zero((len(places.layers), width)), jnp.zeros((), jnp.int32)
    xs = (batches.examples, batches.where)
    (total, n), _ = jax.lax.scan(step, start, xs)
    return total.total / n.astype(jnp.float32)


def _quality(seen, fired, ablated, replaced: _Losses, n, places: Places) -> Quality:
    """All measures, from the sums over all batches."""
    count = jnp.where(n > 0, n.astype(jnp.float32), jnp.nan)
    clean, zero, mean = ablated
    of_layer = lambda sums: sums.total[places.of_member] / count
    n_members = len(places.of_member)
    recovered = Recovered(
        ce_clean=jnp.broadcast_to(clean.ce.total / count, (n_members,)),
        ce=replaced.ce.total / count,
        ce_zero=of_layer(zero.ce),
        ce_mean=of_layer(mean.ce),
        kl=replaced.kl.total / count,
        kl_zero=of_layer(zero.kl),
        kl_mean=of_layer(mean.kl),
        n_places=jnp.broadcast_to(n, (n_members,)),
    )
    return Quality(jax.vmap(result_of)(seen), jax.vmap(firing_of)(fired), recovered)
