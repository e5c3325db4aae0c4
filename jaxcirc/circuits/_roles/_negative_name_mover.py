"""Heads that write against the indirect object."""

from ._behaviour import NAMES
from ._role import Role, RoleSpec, gated
from ._scene import Scene


def negative_name_mover(scene: Scene) -> Role:
    """The denying score of heads that attend to IO and work against the answer.

    As a name mover with the sign turned: the names that it attends to are among the
    smallest logits that it adds, and without its direct effect the behaviour is larger.

    Args:
        scene: What was observed.
    """
    direct, seen = scene.direct, scene.behaviour
    # A head that copies nothing to the answer has nothing to oppose either.
    opposes = (direct.mean > 0) & direct.told
    score = gated(
        scene.copying.denies,
        scene.copying.chance,
        seen.told,
        seen.attends_to_io,
        opposes,
    )
    evidence = {
        "denying": scene.copying.denies,
        "attention_to_io": seen.attention[..., 0],
        "direct": direct.mean,
    }
    return Role(score, scene.copying.chance, evidence)


ROLE = RoleSpec(
    "negative_name_mover",
    "writes against the indirect object",
    negative_name_mover,
    0.1,
    NAMES,
    "Wang et al. (2023), Interpretability in the wild",
)
