"""Named parts of a model as arrays: weights, activations, gradients, products of heads.

A component is a row of `COMPONENTS`, a site or a path of weights. It says what it needs
of a model, `observe` runs the model once for all of them, and each makes its matrices.
"""

from ..tasks import (
    check_periods as check_periods,
    default_periods as default_periods,
    repeated_tokens as repeated_tokens,
)
from ._component import (
    AbstractComponent as AbstractComponent,
    ComponentSpec as ComponentSpec,
    Needs as Needs,
    Observed as Observed,
)
from ._factored import Factored as Factored
from ._gradients import (
    ov_gradient as ov_gradient,
    result_gradient as result_gradient,
    weight_gradients as weight_gradients,
)
from ._heads import (
    induction_heads as induction_heads,
    induction_scores as induction_scores,
    repeated_patterns as repeated_patterns,
)
from ._lens import (
    LogitAttribution as LogitAttribution,
    direct_logit_attribution as direct_logit_attribution,
    logit_lens as logit_lens,
)
from ._named import (
    COMPONENTS as COMPONENTS,
    builder as builder,
    component as component,
)
from ._observe import observe as observe
from ._ov_qk import ov as ov, ov_velocity as ov_velocity, qk as qk
from ._part import Part as Part
from ._pico import PICO_COMPONENTS as PICO_COMPONENTS, PICO_METRICS as PICO_METRICS
