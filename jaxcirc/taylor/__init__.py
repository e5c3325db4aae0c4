"""Taylor expansions: how a model changes from one checkpoint to another, by orders.

A series comes with the radius within which it converges and a status; on real finetunes
the way is often longer than that.
"""

from ._accuracy import Accuracy as Accuracy, accuracy as accuracy
from ._along import along as along, expand as expand
from ._at_sites import at_sites as at_sites
from ._attribute import Attribution as Attribution, attribute as attribute
from ._barrier import Chord as Chord, barrier as barrier
from ._decompose import Decomposition as Decomposition, decompose as decompose
from ._engine import EngineSpec as EngineSpec
from ._engines import ENGINES as ENGINES
from ._freeze import freeze as freeze
from ._groups import group_names as group_names
from ._modules import ByModule as ByModule, by_module as by_module
from ._paths import PathExpansion as PathExpansion, paths as paths
from ._recentre import Recentred as Recentred, recentre as recentre
from ._report import accuracy_along as accuracy_along
from ._series import Series as Series
from ._status import Status as Status
from ._tangent import Tangent as Tangent, tangent as tangent
from ._task_vector import TaskVector as TaskVector, task_vector as task_vector
from ._through import (
    FrozenAttention as FrozenAttention,
    Through as Through,
    linearised as linearised,
)
