"""A loss, its data, and how a step's examples are drawn."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from .._core import (
    Objective,
    at_least_float32,
    fold_name,
    named_leaves,
    number_dtype,
    require_loss,
)


class Problem(eqx.Module):
    """A per-example loss with the examples it is meant for.

    Args:
        loss_fn: (weights, examples) -> the loss of each example.
        data: A pytree whose arrays have a leading example axis; None for a population.
        population: A function from a key to fresh examples; None for finite data.
        n: Number of examples; None for a population.
        batch_size: Examples per step; None for all of them.
    """

    loss_fn: Objective
    data: PyTree
    population: Callable[[Key[Array, ""]], PyTree] | None
    n: int | None = eqx.field(static=True)
    batch_size: int | None = eqx.field(static=True)

    def losses(self, params: PyTree, examples: PyTree) -> Float[Array, " example"]:
        """The loss of each example, in float32 or wider.

        Args:
            params: Weights.
            examples: A batch with a leading example axis.
        """
        # Half precision has too few digits for the difference of two losses.
        wide = at_least_float32(self.loss_fn(params, examples))
        # With float64 weights everything is float64, whatever the loss was summed in.
        return wide.astype(jnp.promote_types(wide.dtype, number_dtype(params)))

    def on(self, data: PyTree) -> "DatasetLoss":
        """The loss of each example of other data, as a function of the weights."""
        return DatasetLoss(self.loss_fn, data)

    def draw(self, key: Key[Array, ""]) -> tuple[PyTree, Array | None]:
        """A step's examples and their places in the data; None for all or fresh ones.

        Places are drawn independently, with replacement, so that steps are independent
        of each other.
        """
        if self.population is not None:
            return self.population(key), None
        if self.batch_size is None:
            return self.data, None
        assert self.n is not None
        places = jr.randint(key, (self.batch_size,), 0, self.n)
        return self.take(places), places

    def take(self, places: Array) -> PyTree:
        """The examples at some places."""
        return jax.tree.map(lambda x: x[places], self.data)

    def all_losses(self, params: PyTree) -> Float[Array, " example"]:
        """The loss of every example, a batch at a time."""
        if self.batch_size is None:
            return self.losses(params, self.data)
        assert self.n is not None
        batches = -(-self.n // self.batch_size)
        # The last batch is filled up from the front, and that part dropped again.
        places = jnp.arange(batches * self.batch_size) % self.n
        rows = places.reshape(batches, self.batch_size)
        each = jax.lax.map(lambda row: self.losses(params, self.take(row)), rows)
        return each.reshape(-1)[: self.n]

    def some_losses(self, params: PyTree) -> Float[Array, " example"]:
        """The losses of one step's examples, the same ones whenever it is asked.

        They show whether weights give finite losses, where all would cost too much.
        """
        return self.losses(params, self.draw(fold_name(jr.key(0), "initial loss"))[0])


class DatasetLoss(eqx.Module):
    """An observable: the loss of each example of a data set.

    Args:
        loss_fn: (weights, examples) -> the loss of each example.
        data: The examples.
    """

    loss_fn: Objective
    data: PyTree

    def __call__(self, params: PyTree) -> Float[Array, " example"]:
        """The losses with some weights."""
        return self.loss_fn(params, self.data)


def make_problem(
    loss_fn: Objective, data: PyTree, batch_size: int | None, params: PyTree
) -> Problem:
    """A problem, checked without running anything.

    Args:
        loss_fn: (weights, examples) -> the loss of each example: an objective such as
            `objectives.CrossEntropy()`, or any function.
        data: Examples with a leading axis, or a function from a key to examples.
        batch_size: Examples per step; None for all.
        params: Weights, or their shapes, of one model.

    Raises:
        ValueError: the data have no common number of examples, the batch is larger than
            that, or the loss is a score or not one number per example.
    """
    require_loss(loss_fn, who="llc")
    if callable(data) and not eqx.is_array(data):
        if batch_size is not None:
            raise ValueError(
                "llc: with `data` as a function that draws examples, it decides how "
                f"many a step sees; leave out `batch_size` (got {batch_size})."
            )
        problem = Problem(loss_fn, None, data, None, None)
        examples = jax.eval_shape(data, jr.key(0))
    else:
        n = _number_of_examples(data)
        if batch_size is not None and not 1 <= batch_size <= n:
            raise ValueError(
                f"llc: `batch_size` must be between 1 and the {n} examples of `data`; "
                f"got {batch_size}. Leave it out to use all of them at every step."
            )
        # A draw with replacement would miss some of the examples and repeat others.
        batch_size = None if batch_size == n else batch_size
        problem = Problem(loss_fn, data, None, n, batch_size)
        examples = jax.eval_shape(lambda: problem.draw(jr.key(0))[0])
    _check_loss(problem, params, examples)
    _check_pure(problem, params, examples)
    return problem


def _number_of_examples(data: PyTree) -> int:
    _require_arrays(data)
    sizes = {name: leaf.shape[:1] for name, leaf in named_leaves(data).items()}
    if not sizes or len(set(sizes.values())) > 1 or () in sizes.values():
        raise ValueError(
            "llc: every array of `data` must have the same leading example axis; got "
            f"{ {k or 'data': v for k, v in sizes.items()} }. Pass arrays of equal "
            "length, or a function from a key to a batch."
        )
    return next(iter(sizes.values()))[0]


def _require_arrays(data: PyTree) -> None:
    """Refuse leaves that have no example axis, such as a padding id or a name."""
    others = [x for x in jax.tree.leaves(data) if not eqx.is_array(x)]
    if others:
        raise ValueError(
            f"llc: every leaf of `data` must be an array of examples; got "
            f"{type(others[0]).__name__} {others[0]!r}. Put what is the same for all "
            "examples into `loss_fn` (`functools.partial`)."
        )


def _traced_loss(problem: Problem, params: PyTree, examples: PyTree) -> Any:
    try:
        return eqx.filter_eval_shape(problem.loss_fn, params, examples)
    # These are what a loss raises on data of another form than it expects.
    except (TypeError, AttributeError, LookupError) as error:
        shapes = jax.tree.map(lambda x: f"{x.dtype}{list(x.shape)}", examples)
        raise ValueError(
            f"llc: `loss_fn(params, examples)` fails on examples {shapes}: "
            f"{type(error).__name__}: {error}. `data` is one data set whose arrays "
            "have a leading example axis; join a list of batches with "
            "`jnp.concatenate`."
        ) from error


def _check_pure(problem: Problem, params: PyTree, examples: PyTree) -> None:
    """Refuse a loss that is another one whenever it is traced.

    L(w*) and the chain are compiled apart, so a constant that is drawn on the host
    would be in their difference, times `n_beta`, and look like a coefficient.

    Raises:
        ValueError: two traces differ.
    """
    one, two = (
        eqx.filter_make_jaxpr(problem.loss_fn)(params, examples)[0] for _ in range(2)
    )
    same = len(one.consts) == len(two.consts) and all(
        # One object, such as data that the loss holds, needs no look at its numbers.
        a is b or _same_numbers(_plain(a), _plain(b))
        for a, b in zip(one.consts, two.consts, strict=True)
    )
    # The text has numbers that are part of the program, and every operation.
    if not (same and str(one.jaxpr) == str(two.jaxpr)):
        raise ValueError(
            "llc: `loss_fn` is another function each time it is called: it draws "
            "numbers on the host (`numpy.random`, `random`), or keeps a state. L(w*) "
            "and the chain would be of different losses. Draw what is random once and "
            "put it into `data`, or give `data` as a function from a key to examples."
        )


def _same_numbers(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def _plain(constant: Any) -> np.ndarray:
    """A constant of a program as numbers; keys by their words."""
    is_array = isinstance(constant, jax.Array)
    if is_array and jnp.issubdtype(constant.dtype, jax.dtypes.prng_key):
        constant = jr.key_data(constant)
    return np.asarray(constant)


def _check_loss(problem: Problem, params: PyTree, examples: PyTree) -> None:
    shapes = jax.tree.leaves(examples)
    size = shapes[0].shape[0] if shapes and shapes[0].shape else None
    got = _traced_loss(problem, params, examples)
    good = (
        isinstance(got, jax.ShapeDtypeStruct)
        and got.ndim == 1
        and got.shape[0] == size
        and jnp.issubdtype(got.dtype, jnp.floating)
    )
    if not good:
        what = (
            f"{got.dtype}{list(got.shape)}"
            if isinstance(got, jax.ShapeDtypeStruct)
            else repr(got)
        )
        raise ValueError(
            f"llc: `loss_fn(params, examples)` must return the loss of each example, "
            f"float[{size}] here; got {what}. Leave out the mean over examples: it is "
            "taken inside, and single losses pair each draw with the initial loss."
        )
