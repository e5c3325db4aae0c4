"""Which roles the heads play in a task, at every checkpoint."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Key

from ... import circuits
from ..._core import find, fold_name
from ...models import TransformerConfig, graph
from ...objectives import OBJECTIVES
from ...tasks import AbstractTask, Pairs, Tokenizer, check_periods
from ._attention import periods_of
from ._measurement import MeasurementSpec, PerCheckpoint, Snapshot
from ._quantity import Outcome, Quantity

# What scores were judged by, that is worth a look: role and name, units, meaning.
_EVIDENCE = {
    "direct": ("name_mover", "direct", "share of the behaviour"),
    "attention_to_io": ("name_mover", "attention_to_io", "attention"),
    "copying": ("name_mover", "copying", "share of names"),
    "denying": ("negative_name_mover", "denying", "share of names"),
    "without_movers": ("backup", "without_movers", "share of the behaviour"),
}
_MEANINGS = {
    "direct": "effect on the logits alone when the head is patched",
    "attention_to_io": "from the end to IO",
    "copying": "that the head says when it attends to them",
    "denying": "that the head says least when it attends to them",
    "without_movers": "effect on the logits alone with the name movers knocked out",
}


class HeadRoles(PerCheckpoint):
    """Scores of all heads for each role, each with its chance.

    Pairs are the same at every checkpoint. `strength` is the score's way from chance to
    1 in units of the role's threshold: a head plays a role from 1 on. Where the pairs
    do not tell the behaviour from none, roles in the task are at chance, exactly.
    """

    roles: tuple[str, ...] = eqx.field(static=True)
    objective: str = eqx.field(static=True)
    ablation: circuits.AbstractAblation
    n_pairs: int = eqx.field(static=True)
    n_sequences: int = eqx.field(static=True)
    top: int = eqx.field(static=True)
    at_once: int = eqx.field(static=True)

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse a task whose pairs lack what the roles are about.

        Args:
            config: The config of the study's models.
            task: The study's task.

        Raises:
            ValueError: as `circuits.head_roles` says, or the model has no graph.
        """
        graph(config)
        rows = [find(circuits.ROLES, name, kind="role") for name in self._roles(task)]
        # A few will do: what is looked at is their positions and names.
        pairs = task.pairs(4, split="test", key=jr.key(0))
        circuits.check_roles(config, pairs, rows, _classes(task))
        check_periods(periods_of(task, config), config.n_ctx, who="head_roles")

    def _roles(self, task: AbstractTask) -> tuple[str, ...]:
        """The roles that are asked for, or all that the task has classes for."""
        some = bool(_classes(task))
        return self.roles or tuple(
            row.name for row in circuits.ROLES if some or not row.takes_classes
        )

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Scores with axes `layer` and `head`, and what is said of the whole model."""
        found = circuits.head_roles(
            snapshot.model,
            self._pairs(task, key),
            roles=self._roles(task),
            classes=_classes(task),
            objective=find(OBJECTIVES, self.objective, kind="objective").build(),
            ablation=self.ablation,
            top=self.top,
            n_sequences=self.n_sequences,
            periods=periods_of(task, snapshot.model.config),
            at_once=self.at_once,
            key=fold_name(key, "roles"),
        )
        return Outcome(_scores(found) | self._whole(found) | _evidence(found))

    def _pairs(self, task: AbstractTask, key: Key[Array, ""]) -> Pairs:
        return task.pairs(self.n_pairs, split="test", key=fold_name(key, "pairs"))

    def _whole(self, found: circuits.HeadRoles) -> dict[str, Quantity]:
        """The behaviour, and the three ratios of the algorithm."""
        units = find(OBJECTIVES, self.objective, kind="objective").units
        seen, ratios = found.behaviour, found.consistency
        made = {
            "behaviour": Quantity(seen.mean, (), units, "mean objective", 0.0),
            "error": Quantity(
                seen.error, (), units, "its standard error", role="diagnostic"
            ),
        }
        if ratios is None:
            return made
        for place, step in enumerate(("direct", "s2_inhibition", "tertiary")):
            made[f"ratio_{step}"] = Quantity(
                getattr(ratios, step),
                (),
                "share",
                f"of effects in the step {step}, by heads of its roles",
            )
            made[f"ratio_{step}_chance"] = Quantity(
                ratios.chance[place],
                (),
                "share",
                "of the candidates that have these roles",
                role="diagnostic",
            )
        return made

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Names of the roles."""
        del config, key
        return {"role": list(self._roles(task))}


def _scores(found: circuits.HeadRoles) -> dict[str, Quantity]:
    """A score for each role, with its chance, and all of them by their thresholds."""
    made, strengths = {}, []
    for place, name in enumerate(found.roles):
        row = find(circuits.ROLES, name, kind="role")
        role = circuits.Role(found.score[place], found.chance[place])
        strengths.append(role.lead() / row.threshold)
        made[name] = Quantity(
            role.score, ("layer", "head"), "score", row.summary, role.chance
        )
    made["strength"] = Quantity(
        jnp.stack(strengths),
        ("role", "layer", "head"),
        "thresholds",
        "way of the score from chance to 1; a head plays the role from 1 on",
        role="detail",
    )
    return made


def _evidence(found: circuits.HeadRoles) -> dict[str, Quantity]:
    """What scores were judged by, for each head."""
    return {
        name: Quantity(
            found.evidence[role][key],
            ("layer", "head"),
            units,
            _MEANINGS[name],
            role="detail",
        )
        for name, (role, key, units) in _EVIDENCE.items()
        if role in found.evidence
    }


def _classes(task: AbstractTask) -> list[list[int]]:
    """Ordered classes of tokens, if the task's ids are those of a tokenizer."""
    tokenizer = getattr(task, "tokenizer", None)
    if not isinstance(tokenizer, Tokenizer):
        return []
    return circuits.ordered_classes(tokenizer)


def head_roles(
    roles: tuple[str, ...] = (),
    objective: str = "logit_difference",
    ablation: str = "resample",
    n_pairs: int = 64,
    n_sequences: int = 16,
    top: int = 5,
    at_once: int = 8,
) -> HeadRoles:
    """The measurement of the roles that heads play.

    Args:
        roles: Which; all if none, but `successor` only with a tokenizer that knows
            ordered words.
        objective: What the behaviour is measured by, of pairs.
        ablation: What heads write when they are patched.
        n_pairs: Clean and corrupted test examples; at least 4.
        n_sequences: Random sequences for attention scores, of each length.
        top: How many of the largest logits a head adds count as what it says.
        at_once: Heads that are patched at a time.

    Raises:
        ValueError: an option does not fit.
    """
    for name in roles:
        find(circuits.ROLES, name, kind="role")
    if find(OBJECTIVES, objective, kind="objective").takes != "pairs":
        names = [row.name for row in OBJECTIVES if row.takes == "pairs"]
        raise ValueError(
            f"head_roles: objective {objective!r} is not one of pairs; choose one of "
            f"{', '.join(names)}."
        )
    if n_pairs < 4:
        raise ValueError(f"head_roles: `n_pairs` must be at least 4; got {n_pairs}.")
    for name, number in (("top", top), ("n_sequences", n_sequences)):
        if number < 1:
            raise ValueError(f"head_roles: `{name}` must be at least 1; got {number}.")
    return HeadRoles(
        tuple(roles),
        objective,
        find(circuits.ABLATIONS, ablation, kind="ablation").build(),
        n_pairs,
        n_sequences,
        top,
        at_once,
    )


SPEC = MeasurementSpec(
    name="head_roles",
    summary="which heads play which role in a task, each score beside its chance",
    build=head_roles,
    tiny={
        "roles": ("previous_token", "duplicate_token", "induction"),
        "n_pairs": 4,
        "n_sequences": 2,
    },
)
