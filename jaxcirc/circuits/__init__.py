"""Circuits: which edges between the parts of a model carry a behaviour.

A score for every edge by any `METHODS`, the truth by patching each, and what a circuit
keeps. Whatever there is for each edge is an array [source, destination] of a `graph`.
"""

from .._core import Tenure as Tenure, tenures as tenures
from ..models import Graph as Graph, graph as graph
from ..tasks import Pairs as Pairs
from ._ablation import (
    ABLATIONS as ABLATIONS,
    AblationSpec as AblationSpec,
    AbstractAblation as AbstractAblation,
)
from ._acdc import ACDC as ACDC
from ._atp_star import AtPStar as AtPStar
from ._attribute import METHODS as METHODS, attribute as attribute, patch as patch
from ._bootstrap import Confidence as Confidence, bootstrap as bootstrap
from ._checks import check_moves as check_moves, check_pairs as check_pairs
from ._choose import (
    SHARES as SHARES,
    greedy as greedy,
    growth as growth,
    nested as nested,
    ranks as ranks,
    threshold as threshold,
    top as top,
)
from ._constant import Constant as Constant
from ._eap_ig_activations import EAPIGActivations as EAPIGActivations
from ._edge_pruning import EdgePruning as EdgePruning
from ._exact import Exact as Exact
from ._faithfulness import (
    Faithfulness as Faithfulness,
    Smallest as Smallest,
    faithfulness as faithfulness,
    random_circuits as random_circuits,
    smallest as smallest,
)
from ._head_roles import (
    HeadRoles as HeadRoles,
    check_roles as check_roles,
    head_roles as head_roles,
)
from ._hypotheses import (
    Evidence as Evidence,
    equivalence as equivalence,
    independence as independence,
)
from ._induction import induction_by_hand as induction_by_hand
from ._information_flow import InformationFlow as InformationFlow
from ._mean import Mean as Mean
from ._method import AbstractMethod as AbstractMethod, MethodSpec as MethodSpec
from ._minimality import Minimality as Minimality, minimality as minimality
from ._notation import edge_names as edge_names, node_names as node_names
from ._optimal import Optimal as Optimal
from ._ordered_classes import ordered_classes as ordered_classes
from ._pairs import pairs as pairs
from ._patch_nodes import NodeScores as NodeScores, patch_nodes as patch_nodes
from ._path import (
    EAP as EAP,
    CleanCorrupted as CleanCorrupted,
    EAPIGInputs as EAPIGInputs,
)
from ._path_patch import path_patch as path_patch
from ._planted import Planted as Planted, planted as planted
from ._prune import pruned as pruned
from ._quadrature import check_rule as check_rule, quadrature as quadrature
from ._read_circuit import read_circuit as read_circuit
from ._resample import Resample as Resample
from ._roles import ROLES as ROLES, RoleSpec as RoleSpec
from ._roles._consistency import Consistency as Consistency
from ._roles._flips import FLIPS as FLIPS, flips as flips
from ._roles._role import Role as Role
from ._roles_by_hand import RolesByHand as RolesByHand, roles_by_hand as roles_by_hand
from ._run import Performance as Performance, performance as performance, run as run
from ._scores import Scores as Scores
from ._search import Search as Search, search as search
from ._setting import Setting as Setting
from ._similarity import (
    Edits as Edits,
    edits as edits,
    jaccard as jaccard,
    rank_correlation as rank_correlation,
    running_mean as running_mean,
    weighted_jaccard as weighted_jaccard,
)
from ._values import (
    LOGIT_DIFFERENCE as LOGIT_DIFFERENCE,
    objective_name as objective_name,
    values_of as values_of,
)
from ._write_circuit import write_circuit as write_circuit
from ._zero import Zero as Zero
