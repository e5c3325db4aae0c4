"""Heads that attend to what followed the same token before."""

from ...metrics import induction_score
from ._attention import THRESHOLD, attention_role
from ._role import Role, RoleSpec
from ._scene import Scene


def induction(scene: Scene) -> Role:
    """Mean attention to the token after the same token one block ago.

    Args:
        scene: What was observed.
    """
    return attention_role(scene, induction_score)


ROLE = RoleSpec(
    "induction",
    "attends to what followed the same token before",
    induction,
    THRESHOLD,
    paper="Olsson et al. (2022), In-context learning and induction heads",
)
