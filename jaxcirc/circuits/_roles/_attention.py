"""Roles of heads that attend along a diagonal, on random tokens that repeat."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...models import capture
from ...tasks import check_periods, default_periods, repeated_tokens
from ._role import Role
from ._scene import Scene

# Half of a head's attention in one place, of a few dozen, is what it is for.
THRESHOLD = 0.3

Score = Callable[..., Float[Array, ""]]


def attention_role(scene: Scene, score: Score) -> Role:
    """Mean attention along a diagonal, beside that of uniform causal attention.

    Sequences are `[x] + r + r` with random tokens `r` (Olsson et al. 2022), the same
    for each role.

    Args:
        scene: What was observed.
        score: (pattern, period=) -> the score of one pattern.
    """
    c = scene.model.config
    periods = scene.periods or default_periods(c.n_ctx)
    check_periods(periods, c.n_ctx, who="head_roles")
    scores, chances = [], []
    for period in periods:
        tokens, _ = repeated_tokens(
            c.d_vocab, c.n_ctx, scene.n_sequences, scene.draw("repeated"), period=period
        )
        _, acts = capture(scene.model, tokens, ("attn.pattern",))
        of = functools.partial(score, period=period)
        each = jax.vmap(jax.vmap(jax.vmap(of)))(acts["attn.pattern"])
        scores.append(each.mean(axis=1))
        chances.append(_of_uniform(of, tokens.shape[1], causal=c.causal))
    return Role(jnp.stack(scores).mean(axis=0), float(np.mean(chances)))


def _of_uniform(of: Callable, n_pos: int, *, causal: bool) -> float:
    """The score of attention to all that is seen alike."""
    uniform = np.ones((n_pos, n_pos), np.float32)
    uniform = np.tril(uniform) if causal else uniform
    # Chance is a number that thresholds are made of, known while programs are traced.
    with jax.ensure_compile_time_eval():
        return float(of(jnp.asarray(uniform / uniform.sum(axis=1, keepdims=True))))
