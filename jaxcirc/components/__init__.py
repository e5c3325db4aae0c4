"""Named parts of a model as arrays: weights, activations, gradients, whole circuits."""

from ._circuits import (
    ov as ov,
    ov_gradient as ov_gradient,
    ov_velocity as ov_velocity,
    qk as qk,
    result_gradient as result_gradient,
    weight_gradients as weight_gradients,
)
from ._component import Component as Component, component as component
from ._factored import Factored as Factored
from ._heads import (
    check_periods as check_periods,
    default_periods as default_periods,
    induction_heads as induction_heads,
    induction_scores as induction_scores,
    repeated_patterns as repeated_patterns,
    repeated_tokens as repeated_tokens,
)
from ._lens import (
    LogitAttribution as LogitAttribution,
    direct_logit_attribution as direct_logit_attribution,
    logit_lens as logit_lens,
)
from ._observe import Part as Part, observe as observe
