"""Feature circuits: which features of dictionaries cause a behaviour, and how.

Nodes are features and what dictionaries leave over; their effects are predicted from
gradients or measured by patching, and what a circuit of them keeps is run.
"""

from ._circuit import (
    FeatureCircuit as FeatureCircuit,
    Node as Node,
    above as above,
    random_nodes as random_nodes,
    top as top,
)
from ._dictionaries import (
    Dictionaries as Dictionaries,
    Place as Place,
    dictionaries_of as dictionaries_of,
)
from ._edges import Edges as Edges, edges as edges
from ._effects import METHODS as METHODS, Effects as Effects, effects as effects
from ._exact import exact_effects as exact_effects
from ._faithfulness import completeness as completeness, faithfulness as faithfulness
from ._latents import ABLATIONS as ABLATIONS
