"""The catalogue of roles that heads play: one file and one row each."""

from ..._core import Catalogue
from . import (
    _backup,
    _copy_suppression,
    _duplicate_token,
    _induction,
    _name_mover,
    _negative_name_mover,
    _previous_token,
    _s2_inhibition,
    _successor,
)
from ._role import RoleSpec as RoleSpec

_OWN = (
    _previous_token.ROLE,
    _duplicate_token.ROLE,
    _induction.ROLE,
    _s2_inhibition.ROLE,
    _name_mover.ROLE,
    _negative_name_mover.ROLE,
    _backup.ROLE,
    _copy_suppression.ROLE,
    _successor.ROLE,
)
ROLES = Catalogue("jaxcirc.roles", _OWN, of=RoleSpec)
