"""Heads that copy the indirect object to the answer."""

from ._behaviour import NAMES
from ._role import Role, RoleSpec, gated
from ._scene import Scene


def name_mover(scene: Scene) -> Role:
    """The copying score of heads that attend to IO and carry the answer themselves.

    A name mover attends from the end to IO more than to S1 and S2, says the names that
    it attends to, and carries the behaviour straight to the logits: without it, with
    all else frozen, at least a fiftieth of it is lost, by three standard errors.

    Args:
        scene: What was observed.
    """
    direct, seen = scene.direct, scene.behaviour
    # Copying alone is no role: many heads would copy what they never attend to.
    carries = (direct.mean < 0) & direct.told
    score = gated(
        scene.copying.says,
        scene.copying.chance,
        seen.told,
        seen.attends_to_io,
        carries,
    )
    evidence = {
        "copying": scene.copying.says,
        "attention_to_io": seen.attention[..., 0],
        "direct": direct.mean,
    }
    return Role(score, scene.copying.chance, evidence)


ROLE = RoleSpec(
    "name_mover",
    "copies the indirect object to the answer",
    name_mover,
    0.1,
    NAMES,
    "Wang et al. (2023), Interpretability in the wild",
)
