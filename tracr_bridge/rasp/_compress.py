"""Fewer residual dimensions than variables: superposition, made to order."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from jaxcirc.metrics import cross_entropy, rank_0_rate
from jaxcirc.models import Transformer, capture
from jaxcirc.tasks import AbstractTask, Batch

from ._students import in_config, require_plain

# Test sequences that accuracies are taken over, at most.
EXAMPLES = 1024


class Compression(NamedTuple):
    """A model in fewer dimensions, for several numbers of them.

    Args:
        model: The model that was compressed.
        d_models: Numbers of dimensions, in the order they were asked for.
        projections: W for each number; columns beyond it are zero.
        accuracy: Share of right answers on test examples, in [0, 1].
        loss: Cross-entropy of the answers there, in nats.
        layer_error: Mean squared error of the residual stream after every layer, as
            x' Wᵀ against x, relative to the mean square of x; 0 if nothing is lost.
    """

    model: Transformer
    d_models: tuple[int, ...]
    projections: Float[Array, "dim d_model d_model"]
    accuracy: Float[np.ndarray, " dim"]
    loss: Float[np.ndarray, " dim"]
    layer_error: Float[np.ndarray, " dim"]

    def compressed(self, d_model: int) -> Transformer:
        """The model with that many dimensions, as an ordinary transformer.

        Args:
            d_model: One of `d_models`.

        Raises:
            ValueError: there is no projection to so many dimensions.
        """
        if d_model not in self.d_models:
            raise ValueError(
                f"Compression: there is no projection to {d_model} dimensions; there "
                f"are those to {', '.join(map(str, self.d_models))}."
            )
        W = self.projections[self.d_models.index(d_model), :, :d_model]
        return project(self.model, W)


def project(model: Transformer, W: Float[Array, "d_model d_small"]) -> Transformer:
    """The model with its residual stream written through `W` and read through `W.T`.

    Every writer's output x becomes x W, and every reader sees x W Wᵀ; with orthonormal
    columns that span what the model uses, nothing changes. Heads and hidden units stay
    as they are, and the model has `W.shape[1]` dimensions.

    Args:
        model: A model without norms and without shared key heads.
        W: A column for each dimension that the new residual stream has.

    Returns:
        The smaller model.

    Raises:
        ValueError: the model has norms, which do not commute with a projection, or
            shared key heads.

    Example:
        A rotation of the residual stream changes no logit.

        >>> import jax.numpy as jnp
        >>> import jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> from tracr_bridge.rasp import project
        >>> config = TransformerConfig(
        ...     d_vocab=3, n_ctx=4, n_layers=1, d_model=2, n_heads=1, norm="none"
        ... )
        >>> model, tokens = Transformer(config, key=jr.key(0)), jnp.array([0, 1, 2])
        >>> turned = project(model, jnp.array([[0.0, 1.0], [-1.0, 0.0]]))
        >>> bool(jnp.allclose(turned(tokens), model(tokens), atol=1e-5))
        True
    """
    require_plain(model, "project")
    last = {"W_E", "W_pos", "W_O", "b_O", "W_out", "b_out"}
    first = {"W_Q": 1, "W_K": 1, "W_V": 1, "W_in": 1, "W_U": 0}

    def leaf(path, x):
        name = path[-1].name
        if name in last:
            return x @ W
        if name in first:
            return jnp.moveaxis(jnp.tensordot(x, W, (first[name], 0)), -1, first[name])
        return x

    moved = jax.tree_util.tree_map_with_path(leaf, model)
    return in_config(moved, d_model=W.shape[1])


def compress(
    model: Transformer,
    task: AbstractTask,
    d_models: Sequence[int],
    *,
    steps: int = 1000,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    key: Key[Array, ""],
) -> Compression:
    """Learn projections of the residual stream to fewer dimensions.

    Only W is learnt, from the cross-entropy of the answers and the squared error of the
    residual stream after every layer (Lindner et al. 2023, section 5); it starts at the
    principal directions of the residual stream, and the best W on the way is kept. All
    numbers of dimensions are one compiled program, one after the other on a CPU.

    Args:
        model: What to compress, such as the solution of a `ProgramTask`.
        task: Sequences, and their answers.
        d_models: Numbers of dimensions, each at most the model's.
        steps: Updates, at a learning rate that falls to zero along a cosine.
        batch_size: Sequences per update.
        learning_rate: Of Adam, at the start.
        key: The batches are drawn from it.

    Returns:
        A projection for each number of dimensions, with its accuracy and its losses on
        at most 1,024 test sequences.

    Raises:
        ValueError: a number of dimensions does not fit, or the model has norms or
            shared key heads.
    """
    require_plain(model, "compress")
    full = model.config.d_model
    if not d_models or min(d_models) < 1 or max(d_models) > full:
        raise ValueError(
            f"compress: `d_models` are numbers from 1 to the model's {full}; got "
            f"{list(d_models)}."
        )
    found = _learn(
        model,
        task,
        jnp.asarray(d_models),
        steps,
        batch_size,
        jnp.float32(learning_rate),
        key,
    )
    W, *scores = jax.device_get(found)
    return Compression(model, tuple(d_models), jnp.asarray(W), *scores)


@eqx.filter_jit
def _learn(model, task, d_models, steps, batch_size, learning_rate, key):
    """Projections and what they achieve, for every number of dimensions."""
    optimizer = optax.adam(optax.cosine_decay_schedule(1.0, steps))
    sample_key, test_key, batch_key = jr.split(key, 3)
    some = task.sample(batch_size, key=sample_key).tokens
    basis = _principal_directions(model, some)
    test = task.examples("test")
    if test is None or len(test.tokens) > EXAMPLES:
        test = task.sample(EXAMPLES, split="test", key=test_key)

    def one(d):
        inside = (jnp.arange(basis.shape[1]) < d).astype(basis.dtype)

        def step(i, carry):
            W, state, best, least = carry
            batch = task.sample(batch_size, key=jr.fold_in(batch_key, i))
            loss, gradient = jax.value_and_grad(
                lambda w: sum(_losses(model, w, batch)[:2])
            )(W)
            change, state = optimizer.update(gradient * inside[None, :], state, W)
            better = loss < least
            best = jnp.where(better, W, best)
            return (
                W + learning_rate * change,
                state,
                best,
                jnp.where(better, loss, least),
            )

        # The best is kept: compiled programs are so steep that the way there is not
        # downhill all along, and a start that loses nothing should not be left.
        # All sizes have one shape, with zeros beyond, so that they are one program.
        W = basis * inside[None, :]
        with jax.numpy_dtype_promotion("standard"):
            start = (W, optimizer.init(W), W, jnp.float32(jnp.inf))
            W = jax.lax.fori_loop(0, steps, step, start)[2]
        loss, error, right = _losses(model, W, test)
        return W, right, loss, error

    # Side by side the models would drive each other out of a core's cache.
    one_by_one = jax.default_backend() == "cpu"
    with jax.default_matmul_precision("highest"):
        return jax.lax.map(one, d_models) if one_by_one else jax.vmap(one)(d_models)


def _losses(model: Transformer, W: Array, batch: Batch) -> tuple[Array, Array, Array]:
    """Cross-entropy, relative squared error of the residual stream, accuracy."""
    _, before = capture(model, batch.tokens, ("resid_post",))
    logits, after = capture(project(model, W), batch.tokens, ("resid_post",))
    target = before["resid_post"]
    # Relative, so that its weight does not depend on the scale of the program.
    error = ((after["resid_post"] @ W.T - target) ** 2).mean() / (target**2).mean()
    answers = (logits, batch.targets, batch.mask)
    return cross_entropy(*answers), error, rank_0_rate(*answers)


def _principal_directions(model: Transformer, tokens: Array) -> Array:
    """An orthonormal basis, the largest directions of the residual stream first."""
    _, found = capture(model, tokens, ("resid_pre", "resid_mid", "resid_post"))
    rows = jnp.concatenate([x.reshape(-1, x.shape[-1]) for x in found.values()])
    return jnp.linalg.eigh(rows.T @ rows)[1][:, ::-1]
