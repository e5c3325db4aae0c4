"""Pure functions from arrays to numbers; they know no model."""

from .._core import Catalogue
from . import (
    _canonical_correlation,
    _change,
    _cka,
    _condition_number,
    _distribution,
    _effective_rank,
    _fourier,
    _heavy_tail,
    _norms,
    _participation_ratio,
    _principal_angles,
    _procrustes,
    _proportional_effective_rank,
    _rsa,
    _sparsity,
    _stable_rank,
)
from ._answers import (
    accuracy as accuracy,
    answer_probability as answer_probability,
    cross_entropy as cross_entropy,
    logit_difference as logit_difference,
    rank_0_rate as rank_0_rate,
    surprise as surprise,
)
from ._attention import (
    attention_distance as attention_distance,
    attention_entropy as attention_entropy,
    duplicate_token_score as duplicate_token_score,
    in_context_score as in_context_score,
    induction_score as induction_score,
    pattern_divergence as pattern_divergence,
    previous_token_score as previous_token_score,
)
from ._canonical_correlation import pwcca as pwcca, svcca as svcca
from ._change import (
    cosine_similarity as cosine_similarity,
    sign_flips as sign_flips,
    update_ratio as update_ratio,
    wasserstein as wasserstein,
)
from ._cka import (
    cka as cka,
    cka_biased as cka_biased,
    cka_minibatch as cka_minibatch,
)
from ._condition_number import (
    condition_number as condition_number,
    numerical_rank as numerical_rank,
)
from ._convergence import convergence_step as convergence_step
from ._curvature import (
    hessian_quadrature as hessian_quadrature,
    hessian_top_eigenvalues as hessian_top_eigenvalues,
    hessian_trace as hessian_trace,
    hessian_vector_product as hessian_vector_product,
    spectral_density as spectral_density,
)
from ._distribution import (
    dead_units as dead_units,
    kurtosis as kurtosis,
    massive_activation_ratio as massive_activation_ratio,
    mean as mean,
    root_mean_square as root_mean_square,
    sparsity as sparsity,
    standard_deviation as standard_deviation,
)
from ._effective_rank import effective_rank as effective_rank
from ._fisher import (
    empirical_fisher_trace as empirical_fisher_trace,
    fisher_trace as fisher_trace,
)
from ._fourier import fourier_gini as fourier_gini, fourier_power as fourier_power
from ._gradients import (
    GradientStatistics as GradientStatistics,
    gradient_cosine as gradient_cosine,
    gradient_noise_scale as gradient_noise_scale,
    gradient_statistics as gradient_statistics,
)
from ._heavy_tail import (
    HeavyTail as HeavyTail,
    heavy_tail as heavy_tail,
    heavy_tail_alpha as heavy_tail_alpha,
    heavy_tail_ks as heavy_tail_ks,
)
from ._intruders import (
    chance_overlap as chance_overlap,
    intruder_dimensions as intruder_dimensions,
)
from ._lens import (
    answer_rank as answer_rank,
    kl_divergence as kl_divergence,
    lens_agreement as lens_agreement,
    lens_divergence as lens_divergence,
)
from ._norms import (
    frobenius_norm as frobenius_norm,
    max_norm as max_norm,
    nuclear_norm as nuclear_norm,
    operator_inf_norm as operator_inf_norm,
    spectral_norm as spectral_norm,
)
from ._ov_qk import (
    composition_score as composition_score,
    copying_score as copying_score,
    matching_score as matching_score,
)
from ._participation_ratio import participation_ratio as participation_ratio
from ._principal_angles import (
    principal_angles as principal_angles,
    subspace_overlap as subspace_overlap,
)
from ._procrustes import procrustes as procrustes
from ._proportional_effective_rank import (
    proportional_effective_rank as proportional_effective_rank,
)
from ._rsa import rsa as rsa
from ._singular_values import singular_values as singular_values
from ._sparsity import gini as gini, hoyer as hoyer
from ._spec import (
    Known as Known,
    MetricSpec as MetricSpec,
    Similarity as Similarity,
)
from ._stable_rank import stable_rank as stable_rank
from ._tangent_kernel import (
    empirical_ntk as empirical_ntk,
    kernel_alignment as kernel_alignment,
    kernel_velocity as kernel_velocity,
)

_OWN = (
    _effective_rank.SPEC,
    _proportional_effective_rank.SPEC,
    _stable_rank.SPEC,
    _condition_number.SPEC,
    _condition_number.RANK,
    _heavy_tail.SPEC,
    _heavy_tail.KS,
    _norms.FROBENIUS,
    _norms.SPECTRAL,
    _norms.NUCLEAR,
    _norms.MAX,
    _norms.OPERATOR_INF,
    _participation_ratio.SPEC,
    _sparsity.GINI,
    _sparsity.HOYER,
    _fourier.SPEC,
    _distribution.MEAN,
    _distribution.STANDARD_DEVIATION,
    _distribution.ROOT_MEAN_SQUARE,
    _distribution.KURTOSIS,
    _distribution.SPARSITY,
    _distribution.DEAD_UNITS,
    _distribution.MASSIVE_ACTIVATION_RATIO,
    _change.UPDATE_RATIO,
    _change.COSINE_SIMILARITY,
    _change.WASSERSTEIN,
    _change.SIGN_FLIPS,
    _cka.SPEC,
    _cka.BIASED,
    _canonical_correlation.SVCCA,
    _canonical_correlation.PWCCA,
    _procrustes.SPEC,
    _rsa.SPEC,
    _principal_angles.SPEC,
)
METRICS = Catalogue("jaxcirc.metrics", _OWN, of=MetricSpec)
