"""Heads that attend to an earlier occurrence of the same token."""

from ...metrics import duplicate_token_score
from ._attention import THRESHOLD, attention_role
from ._role import Role, RoleSpec
from ._scene import Scene


def duplicate_token(scene: Scene) -> Role:
    """Mean attention to the same token one block ago, on random tokens that repeat.

    Args:
        scene: What was observed.
    """
    return attention_role(scene, duplicate_token_score)


ROLE = RoleSpec(
    "duplicate_token",
    "attends to the same token before",
    duplicate_token,
    THRESHOLD,
    paper="Wang et al. (2023), Interpretability in the wild",
)
