"""Heads that attend to the token before."""

from ...metrics import previous_token_score
from ._attention import THRESHOLD, attention_role
from ._role import Role, RoleSpec
from ._scene import Scene


def previous_token(scene: Scene) -> Role:
    """Mean attention to the position just before, on random tokens that repeat.

    Args:
        scene: What was observed.
    """
    return attention_role(scene, lambda pattern, **_: previous_token_score(pattern))


ROLE = RoleSpec(
    "previous_token",
    "attends to the token before",
    previous_token,
    THRESHOLD,
    paper="Olsson et al. (2022), In-context learning and induction heads",
)
