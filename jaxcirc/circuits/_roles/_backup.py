"""Heads that move the name once the name movers are gone."""

import jax.numpy as jnp

from ._behaviour import NAMES
from ._role import Role, RoleSpec, gated
from ._scene import Scene


def backup(scene: Scene) -> Role:
    """How much of the behaviour a head carries directly only without the name movers.

    All name movers are knocked out: they write what they write in the corrupted run.
    With D the share of the clean behaviour that a head carries straight to the logits,
    by path patching with and without the knock-out,

        score = max(D without the movers, 0) - max(D, 0).

    Heads that merely work less against the answer have 0 (Wang et al. 2023, section
    3.4). Corrupted prompts should have other names altogether: where they only swap
    IO and S, a knock-out says the wrong answer instead of nothing.

    Args:
        scene: What was observed.
    """
    movers = scene.players("name_mover")
    before = scene.direct
    after = scene.paths(["logits"], knocked_out=movers)
    # Each part from 0 on: a head that opposes less is no backup.
    gain = jnp.maximum(-after.mean, 0) - jnp.maximum(-before.mean, 0)
    # Movers that are knocked out say something else, and would seem to gain or lose.
    carries = (after.mean < 0) & after.told
    score = gated(gain, 0.0, scene.behaviour.told, ~movers, movers.any(), carries)
    return Role(score, 0.0, {"direct": before.mean, "without_movers": after.mean})


ROLE = RoleSpec(
    "backup",
    "moves the name once the name movers are gone",
    backup,
    0.05,
    NAMES,
    "Wang et al. (2023), Interpretability in the wild",
)
