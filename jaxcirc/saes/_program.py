"""The compiled program: fill the buffer, then train all dictionaries on it."""

import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Int, Key

from .._core import fold_name
from ._buffer import Buffer, empty_buffer, refill, without
from ._dictionary import Dictionary
from ._layout import Layout
from ._member import Fixed, Member, Record, new_member, update
from ._norms import Norms, folded, measured
from ._over_members import over_members
from ._resample import resampled, without_moments
from ._source import AbstractSource, Rows
from ._training import Training


class TrainingState(NamedTuple):
    """All that training needs to go on, as one tree of arrays.

    It can be written with `checkpoints.save_tensors`, and a run that goes on from the
    file ends in the same bits.

    Args:
        members: What changes of each dictionary, with an axis of dictionaries.
        buffer: Activations that wait.
        norms: What they are multiplied by, measured once.
        step: Updates made.
    """

    members: Member
    buffer: Buffer
    norms: Norms
    step: Int[Array, ""]


class Lesson(NamedTuple):
    """What the program reads and does not change.

    Args:
        source: Where activations come from.
        fixed: What is each member's own, with an axis of members.
        key: Random key of the order of activations and of what is resampled.
    """

    source: AbstractSource
    fixed: Fixed
    key: Key[Array, ""]


class Seen(NamedTuple):
    """What a host should see of some steps; the state itself is given on.

    Args:
        records: One of each step, [member, batch]; those beyond the last step are 0.
        starved: Whether the source gave too few activations.
        finite: Whether all activations are finite.
        step: Updates made.
    """

    records: Record
    starved: Bool[Array, ""]
    finite: Bool[Array, ""]
    step: Int[Array, ""]


class Plan(NamedTuple):
    """What a program is compiled for.

    Args:
        training: How dictionaries are trained.
        layout: How the axes of activations become members and sites.
        members: Number of dictionaries.
        lanes: How many of them run side by side.
    """

    training: Training
    layout: Layout
    members: int
    lanes: int


def begin(
    plan: Plan, lesson: Lesson, start: Dictionary | None, dictionary_key: Key[Array, ""]
) -> TrainingState:
    """A filled buffer, and members that have its mean and its scale.

    Args:
        plan: What the program is for.
        lesson: What it reads.
        start: Dictionaries of raw activations to begin with, with an axis of members;
            fresh ones if None.
        dictionary_key: Random key of fresh directions; seeds are folded in.
    """
    training = plan.training
    buffer = empty_buffer(training.buffer_rows, _shapes(plan, lesson.source))
    buffer = _refilled(plan, lesson, buffer, jnp.zeros((), jnp.int32))
    counts = (
        jnp.zeros(buffer.slots, bool)
        .at[buffer.order]
        .set(jnp.arange(buffer.slots) < buffer.waiting)
    )
    x, y = buffer.rows
    norms = measured(x, x if y is None else y, counts, normalise=training.normalise)

    def fresh(fixed: Fixed) -> Dictionary:
        made = fixed.config.init(jr.fold_in(dictionary_key, fixed.seed))
        if not training.centre:
            return made
        mean = norms.mean_out[fixed.source].astype(made.b_dec.dtype)
        return eqx.tree_at(lambda d: d.b_dec, made, mean)

    def given(fixed: Fixed, dictionary: Dictionary) -> Dictionary:
        inward, outward = norms.scale_in[fixed.source], norms.scale_out[fixed.source]
        return folded(dictionary, 1 / inward, 1 / outward)

    if start is None:
        dictionaries = jax.lax.map(fresh, lesson.fixed)
    else:
        dictionaries = jax.lax.map(lambda pair: given(*pair), (lesson.fixed, start))
    members = jax.vmap(lambda d: new_member(d, training))(dictionaries)
    return TrainingState(members, buffer, norms, jnp.zeros((), jnp.int32))


def advance(
    plan: Plan, lesson: Lesson, state: TrainingState
) -> tuple[TrainingState, Seen]:
    """The state after a refill and the batches served of it, and a record of each.

    Args:
        plan: What the program is for.
        lesson: What it reads.
        state: Where to begin.

    Returns:
        The state, and what a host should see of it.
    """
    training = plan.training
    buffer = _refilled(plan, lesson, state.buffer, state.step)
    n = jnp.minimum(training.served_batches, training.steps - state.step)
    one = functools.partial(_train_one, plan, n)
    run = over_members(one, plan.members, plan.lanes)
    shared = (buffer, state.norms, state.step, lesson.key)
    members, records = run(state.members, lesson.fixed, shared)
    seen = Seen(records, buffer.starved, buffer.finite, state.step + n)
    buffer = without(buffer, training.served_batches * training.batch_size)
    return TrainingState(members, buffer, state.norms, state.step + n), seen


def finish(plan: Plan, lesson: Lesson, state: TrainingState) -> Dictionary:
    """The dictionaries as they take raw activations, with an axis of members.

    Args:
        plan: What the program is for.
        lesson: What it reads.
        state: After the last step.
    """
    del plan

    def one(pair: tuple[Member, Fixed]) -> Dictionary:
        member, fixed = pair
        done = fixed.config.finished(member.dictionary, member.kept)
        norms = state.norms
        return folded(done, norms.scale_in[fixed.source], norms.scale_out[fixed.source])

    return jax.lax.map(one, (state.members, lesson.fixed))


def _shapes(plan: Plan, source: AbstractSource) -> Rows:
    drawn = lambda: plan.layout.arranged(source.draw(jnp.zeros((), jnp.int32))[0])
    return jax.eval_shape(drawn)


def _refilled(plan: Plan, lesson: Lesson, buffer: Buffer, step: Array) -> Buffer:
    def draw(number: Array) -> tuple[Rows, Array]:
        rows, keep = lesson.source.draw(number)
        return plan.layout.arranged(rows), keep

    training = plan.training
    # No more than will be served: data that have an end are used to their end.
    left = jnp.minimum(training.steps - step, training.buffer_batches)
    key = jr.fold_in(fold_name(lesson.key, "order"), step)
    most = lesson.source.most
    return refill(buffer, draw, left * training.batch_size, most=most, key=key)


def _train_one(
    plan: Plan,
    n: Array,
    member: Member,
    fixed: Fixed,
    shared: tuple[Buffer, Norms, Array, Key[Array, ""]],
) -> tuple[Member, Record]:
    """One member after `n` batches of the buffer."""
    buffer, norms, start, key = shared
    training = plan.training

    def batch(i: int | Array) -> tuple[Array, Array]:
        x, y = _batch(buffer, i, training.batch_size, fixed.source)
        target = x if y is None else y
        scaled = lambda a, by: (
            a * jnp.broadcast_to(by[fixed.source][..., None], a.shape)
        )
        x = scaled(x, norms.scale_in)
        return x, x if y is None else scaled(target, norms.scale_out)

    def step(i: Array, carry: tuple[Member, Record]) -> tuple[Member, Record]:
        member, records = carry
        member, record = update(member, fixed.config, *batch(i), start + i, training)
        write = lambda kept, x: kept.at[i].set(x.astype(kept.dtype))
        return member, jax.tree.map(write, records, record)

    empty = Record(*(jnp.zeros(training.served_batches),) * len(Record._fields))
    with jax.default_matmul_precision(training.precision):
        member, records = jax.lax.fori_loop(0, n, step, (member, empty))
    if training.resample_every is not None:
        key = jr.fold_in(jr.fold_in(fold_name(key, "resample"), start), fixed.seed)
        member = _resampled(plan, member, fixed, batch(0)[0], start, n, key)
    return member, records


def _batch(
    buffer: Buffer, i: int | Array, batch_size: int, source: Array
) -> tuple[Array, Array | None]:
    # The place is looked up with the slot, so that nothing of other places is read.
    start = i * batch_size
    slots = jax.lax.dynamic_slice_in_dim(buffer.order, start, batch_size)
    x, y = buffer.rows
    return x[slots, source], None if y is None else y[slots, source]


def _resampled(
    plan: Plan,
    member: Member,
    fixed: Fixed,
    x: Array,
    start: Array,
    n: Array,
    key: Key[Array, ""],
) -> Member:
    """The member with new directions for dead latents, if it is time for them."""
    every = plan.training.resample_every
    assert every is not None  # `_train_one` has looked
    due = (start + n) // every > start // every

    def renewed(member: Member) -> Member:
        dead = fixed.config.is_dead(member.kept)
        kept = eqx.tree_at(
            lambda k: k.silent, member.kept, jnp.where(dead, 0, member.kept.silent)
        )
        return member._replace(
            dictionary=resampled(member.dictionary, dead, x, key=key),
            optimizer=without_moments(member.optimizer, dead),
            kept=kept,
        )

    return jax.lax.cond(due, renewed, lambda m: m, member)
