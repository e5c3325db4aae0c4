"""Pure functions from arrays to numbers; they know no model."""

from ._answers import (
    accuracy as accuracy,
    answer_probability as answer_probability,
    cross_entropy as cross_entropy,
    logit_difference as logit_difference,
    rank_0_rate as rank_0_rate,
)
from ._attention import (
    attention_entropy as attention_entropy,
    duplicate_token_score as duplicate_token_score,
    induction_score as induction_score,
    previous_token_score as previous_token_score,
)
from ._weights import frobenius_norm as frobenius_norm, update_ratio as update_ratio
