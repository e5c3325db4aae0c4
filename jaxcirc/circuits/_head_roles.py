"""Which roles the heads of a model play in a task."""

from collections.abc import Mapping, Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from .._core import Objective, find
from ..models import Transformer, TransformerConfig
from ..tasks import Pairs
from ._ablation import AbstractAblation, ablation_of
from ._checks import check_pairs
from ._path_patch import path_chunk
from ._roles import ROLES, RoleSpec
from ._roles._behaviour import Behaviour
from ._roles._consistency import NEEDS, Consistency, consistency
from ._roles._scene import Scene
from ._values import LOGIT_DIFFERENCE


class HeadRoles(eqx.Module):
    """How far each head plays each role.

    Args:
        score: A score for each role and head. Heads that lack something which the role
            asks for, and all heads of a model that does not do the task, have exactly
            the role's chance.
        plays: Whether a head plays the role: its score has gone the role's threshold of
            the way from chance to 1.
        behaviour: The objective of the clean run with its standard error, whether it is
            told from 0, and what heads attend to from the end.
        evidence: What each score was judged by, by role and name, for every head.
        consistency: How far the model follows the known algorithm; None where the roles
            that it is about were not asked for.
        roles: Names of the roles, in the order of `score`.
        chance: The score of a head that knows nothing, for each role.
    """

    score: Float[Array, "role layer head"]
    plays: Bool[Array, "role layer head"]
    behaviour: Behaviour
    evidence: Mapping[str, Mapping[str, Float[Array, "layer head"]]]
    consistency: Consistency | None
    roles: tuple[str, ...] = eqx.field(static=True)
    chance: tuple[float, ...] = eqx.field(static=True)

    def of(self, role: str) -> list[str]:
        """Names of the heads that play a role, such as `L9H6`, the strongest first.

        Args:
            role: One of `roles`.

        Raises:
            ValueError: the role was not asked for.
        """
        place = self.roles.index(role)
        score = np.where(self.plays[place], self.score[place], -np.inf)
        order = np.argsort(-score, axis=None, kind="stable")[
            : int((score > -np.inf).sum())
        ]
        return [
            f"L{layer}H{head}"
            for layer, head in zip(*np.unravel_index(order, score.shape), strict=True)
        ]


def head_roles(
    model: Transformer,
    pairs: Pairs,
    *,
    roles: Sequence[str] | None = None,
    classes: Sequence[Sequence[int]] = (),
    objective: Objective = LOGIT_DIFFERENCE,
    ablation: str | AbstractAblation = "resample",
    top: int = 5,
    n_names: int = 16,
    n_sequences: int = 16,
    periods: Sequence[int] = (),
    batch_size: int | None = None,
    at_once: int = 8,
    key: Key[Array, ""],
) -> HeadRoles:
    """Score every head for every role of `ROLES`, in one compiled program.

    | role | score of a head | chance |
    |---|---|---|
    | `previous_token` | attention to the token before | that of uniform attention |
    | `duplicate_token` | attention to the same token before | likewise |
    | `induction` | attention to what followed the same token | likewise |
    | `s2_inhibition` | behaviour lost by way of the movers' queries | 0 |
    | `name_mover` | share of names that it says, if it carries the answer | top / V |
    | `negative_name_mover` | share it denies, if it opposes the answer | top / V |
    | `backup` | behaviour carried only without the movers | 0 |
    | `copy_suppression` | share of its effect that is copy suppression | 0 |
    | `successor` | share of ordered tokens whose successor it says | 1 / class size |

    The first three are measured on random tokens that repeat, the last by weights, all
    others on the pairs, prompts of indirect object identification (Wang et al. 2023)
    with the named positions `IO`, `S1`, `S2` and `end`. A row of `ROLES` says of each
    role from where it counts as played.

    If the mean of the objective is not above 0 by three standard errors, the model does
    not do the task, and the roles in it are at chance for every head: what would be
    measured of them is noise.

    Args:
        model: The model, of any architecture that has a graph.
        pairs: Prompts with named positions; their corrupted partners should have other
            names altogether (ABC), which is what senders are patched with.
        roles: Rows of `ROLES`; all by default, but `successor` only with classes.
        classes: Token ids of ordered classes, such as the days of the week, each in its
            order; see `ordered_classes`.
        objective: What the behaviour is measured by; 0 must mean that there is none.
        ablation: What senders write when they are patched.
        top: How many of the largest logits a head adds count as what it says.
        n_names: Pairs whose names are looked at for copying, from the first.
        n_sequences: Random sequences for attention scores, of each length.
        periods: Lengths of the blocks which these repeat; the longest that fits the
            context twice if none.
        batch_size: Pairs at once; what fits into memory by default.
        at_once: Senders that are patched at a time.
        key: Of random sequences and names.

    Returns:
        Scores, which heads play which role, what was judged by, and how far the model
        follows the algorithm.

    Raises:
        ValueError: there is no such role; pairs lack a position that a role needs, or
            their names are not A B B; classes are missing or too short.

    Example:
        A model that was written by hand, with one head of each role.

        >>> import jax.random as jr
        >>> from jaxcirc import circuits
        >>> world = circuits.roles_by_hand()
        >>> pairs = world.pairs(24, key=jr.key(0))
        >>> found = circuits.head_roles(
        ...     world.model, pairs, classes=world.classes, top=1, key=jr.key(1)
        ... )
        >>> found.of("name_mover"), found.of("s2_inhibition"), found.of("backup")
        (['L3H0'], ['L2H0'], ['L4H0'])
    """
    rows = _rows(roles, classes)
    check_roles(model.config, pairs, rows, classes)
    # Arrays, so that other classes of these lengths compile nothing anew.
    items = tuple(jnp.asarray(tokens, jnp.int32) for tokens in classes)
    n_examples, n_pos = pairs.clean.shape
    if batch_size is None:
        batch_size = path_chunk(model.config, n_examples, n_pos, at_once, "head_roles")
    options = {
        "top": top,
        "n_names": n_names,
        "n_sequences": n_sequences,
        "periods": tuple(periods),
        "batch_size": min(batch_size, n_examples),
        "at_once": at_once,
    }
    fitted = ablation_of(ablation).fitted(model, pairs)
    names = tuple(row.name for row in rows)
    return _found(model, pairs, fitted, objective, items, names, options, key)


@eqx.filter_jit
def _found(model, pairs, ablation, objective, classes, names, options, key):
    # All rows, since roles look at others: backups need to know the movers.
    every = {row.name: row for row in ROLES}
    scene = Scene(
        model, pairs, ablation, objective, classes, **options, rows=every, key=key
    )
    found = {name: scene.role(name) for name in names}
    return HeadRoles(
        jnp.stack([role.score for role in found.values()]),
        jnp.stack([scene.players(name) for name in names]),
        scene.behaviour,
        {name: dict(role.evidence) for name, role in found.items()},
        consistency(scene) if set(NEEDS) <= set(names) else None,
        names,
        tuple(role.chance for role in found.values()),
    )


def _rows(
    roles: Sequence[str] | None, classes: Sequence[PyTree]
) -> tuple[RoleSpec, ...]:
    """The roles that are asked for; without classes none that needs them by default."""
    if roles is None:
        return tuple(row for row in ROLES if classes or not row.takes_classes)
    if isinstance(roles, str) or not len(roles):
        raise ValueError(
            f"head_roles: `roles` is a list of names, such as ['induction']; got "
            f"{roles!r}. Leave it out for all."
        )
    return tuple(find(ROLES, name, kind="role") for name in roles)


def check_roles(
    config: TransformerConfig,
    pairs: Pairs,
    rows: Sequence[RoleSpec],
    classes: Sequence[Sequence[int] | Int[Array, " item"]],
) -> None:
    """Refuse what roles cannot be told from, before anything is computed.

    Args:
        config: Of the model.
        pairs: The pairs.
        rows: The roles that are asked for.
        classes: Ordered classes of tokens.

    Raises:
        ValueError: as `head_roles` says.
    """
    check_pairs(pairs, who="head_roles")
    _check_positions(pairs, rows)
    _check_classes(config, rows, classes)
    if config.sizes.d_vocab_out < config.d_vocab and any(r.positions for r in rows):
        raise ValueError(
            f"head_roles: what a head says about a name is its own logit, and this "
            f"model has {config.sizes.d_vocab_out} outputs for {config.d_vocab} "
            "tokens. Ask for the roles that need no names."
        )


def _check_positions(pairs: Pairs, rows: Sequence[RoleSpec]) -> None:
    """Refuse pairs without the places that roles are about.

    Raises:
        ValueError: a position is missing, or the names there are not A B B.
    """
    for row in rows:
        lacks = [
            name for name in (*row.positions, "end") if name not in pairs.positions
        ]
        if lacks:
            free = [r.name for r in ROLES if not r.positions and not r.takes_classes]
            raise ValueError(
                f"head_roles: the role {row.name!r} is about the positions "
                f"{', '.join(row.positions)} and end of a prompt, and these pairs name "
                f"{', '.join(pairs.positions) or 'none'}. Take a task of indirect "
                f"object identification, or roles={free}, which need no names."
            )
    needs = any(row.positions for row in rows)
    arrays = (pairs.clean, *pairs.positions.values())
    if not needs or any(isinstance(x, Tracer) for x in arrays):
        return
    # Values are known here, before anything expensive is compiled.
    example = np.arange(len(pairs.clean))
    io, s1, s2 = (
        np.asarray(pairs.clean)[example, np.asarray(pairs.positions[name])]
        for name in ("IO", "S1", "S2")
    )
    wrong = (s1 != s2) | (io == s1)
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(
            f"head_roles: a prompt has the names A B B, the same token at S1 and S2 "
            f"and another one at IO; pair {first} has {io[first]}, {s1[first]} and "
            f"{s2[first]}. Names must be single tokens."
        )


def _check_classes(config: TransformerConfig, rows, classes) -> None:
    """Refuse classes without an order, or without tokens of the model.

    Raises:
        ValueError: as said.
    """
    if not classes and any(row.takes_classes for row in rows):
        raise ValueError(
            "head_roles: the role 'successor' needs `classes`, token ids of things in "
            "their order; `circuits.ordered_classes(tokenizer)` finds some."
        )
    for tokens in classes:
        ids = np.asarray(tokens)
        if len(ids) < 3 or len(set(ids.tolist())) < len(ids):
            raise ValueError(
                f"head_roles: a class needs at least 3 tokens, no two alike; got "
                f"{ids.tolist()}."
            )
        most = min(config.d_vocab, config.sizes.d_vocab_out)
        if not 0 <= ids.min() <= ids.max() < most:
            raise ValueError(
                f"head_roles: classes are of tokens below {most}; got {ids.max()}."
            )
