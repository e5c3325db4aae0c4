"""Any architecture from one site to another, and over several sites."""

from typing import Any

from .._core import find
from ._architecture import AbstractArchitecture, ArchitectureSpec
from ._batch_topk import SPEC as BATCH_TOPK
from ._gated import SPEC as GATED
from ._jumprelu import SPEC as JUMP_RELU
from ._matryoshka import SPEC as MATRYOSHKA
from ._standard import SPEC as STANDARD
from ._topk import SPEC as TOPK

BASES = (STANDARD, GATED, TOPK, BATCH_TOPK, MATRYOSHKA, JUMP_RELU)


def transcoder(
    base: str = "standard", *, d_in: int, d_sae: int, d_out: int, **options: Any
) -> AbstractArchitecture:
    """An architecture whose dictionaries stand for what leads from one site to another.

    A transcoder reads what goes into an MLP and writes what comes out of it, so that
    its latents are parts of a computation and not of an activation (Dunefsky et al.
    2024). Its loss is the base architecture's with another target. The bias b_dec is
    not taken off its input, since the two are of different places.

    Args:
        base: Name of the architecture, such as `topk`.
        d_in: Width of the input.
        d_sae: Number of latents.
        d_out: Width of the target.
        **options: Of the base architecture.

    Returns:
        The base architecture with `d_out` set.

    Raises:
        ValueError: no architecture has that name, or an option is refused.

    Example:
        >>> from jaxcirc import saes
        >>> config = saes.transcoder("topk", d_in=8, d_sae=32, d_out=6, k=3)
        >>> type(config).__name__, config.d_out, config.skip
        ('TopK', 6, False)
    """
    build = find(BASES, base, kind="transcoder: architecture").build
    return build(d_in=d_in, d_sae=d_sae, d_out=d_out, **options)


def skip_transcoder(
    base: str = "standard", *, d_in: int, d_sae: int, d_out: int, **options: Any
) -> AbstractArchitecture:
    """A transcoder with a linear map from input to output beside the latents.

    What is linear in the computation need not be spelt out by latents then, and the
    same number of them leaves less error (Paulo et al. 2025). The map `W_skip` is
    trained with the rest and begins at 0.

    Args:
        base: Name of the architecture, such as `topk`.
        d_in: Width of the input.
        d_sae: Number of latents.
        d_out: Width of the target.
        **options: Of the base architecture.

    Returns:
        The base architecture with `d_out` and `skip` set.

    Raises:
        ValueError: no architecture has that name, or an option is refused.

    Example:
        >>> import jax
        >>> from jaxcirc import saes
        >>> config = saes.skip_transcoder(d_in=8, d_sae=32, d_out=6)
        >>> config.init(jax.random.key(0)).W_skip.shape
        (6, 8)
    """
    sizes = {"d_in": d_in, "d_sae": d_sae, "d_out": d_out}
    return transcoder(base, **sizes, skip=True, **options)


def crosscoder(
    base: str = "standard", *, sites: int, d_in: int, d_sae: int, **options: Any
) -> AbstractArchitecture:
    """An architecture with one set of latents for several sites or checkpoints.

    A crosscoder reads [batch, site, d_in] with pre = Σ_m x_m W_enc,m + b_enc and writes
    every site by decoder rows of its own; its errors are summed over sites, and a
    latent costs the sum of its rows' lengths (Lindsey et al. 2024). The lengths of a
    latent's rows over checkpoints say when it is there.

    Args:
        base: Name of the architecture, such as `batchtopk`.
        sites: Number of sites, or of checkpoints.
        d_in: Width of each site.
        d_sae: Number of latents.
        **options: Of the base architecture; `decoder_norm` is 0.08 if it is not given.

    Returns:
        The base architecture with `sites` set.

    Raises:
        ValueError: no architecture has that name, or an option is refused.

    Example:
        >>> import jax
        >>> from jaxcirc import saes
        >>> config = saes.crosscoder("batchtopk", sites=3, d_in=8, d_sae=32, k=4)
        >>> config.init(jax.random.key(0)).W_dec.shape
        (32, 3, 8)
    """
    build = find(BASES, base, kind="crosscoder: architecture").build
    return build(
        d_in=d_in, d_sae=d_sae, sites=sites, **{"decoder_norm": 0.08} | options
    )


TRANSCODER = ArchitectureSpec(
    "transcoder",
    "from one site to another, by the latents of any architecture",
    transcoder,
    {"base": "standard", "d_out": 5, "l1": 0.5},
    "Dunefsky et al. 2024",
)
SKIP_TRANSCODER = ArchitectureSpec(
    "skip_transcoder",
    "a transcoder with a linear map beside the latents",
    skip_transcoder,
    {"base": "topk", "d_out": 5, "k": 3},
    "Paulo et al. 2025",
)
CROSSCODER = ArchitectureSpec(
    "crosscoder",
    "one set of latents for several sites or checkpoints",
    crosscoder,
    {"base": "batchtopk", "sites": 3, "k": 3},
    "Lindsey et al. 2024",
)
