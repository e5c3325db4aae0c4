"""Whether a model does indirect object identification by the known algorithm."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._scene import Scene

# Effects on the movers or the inhibiting heads below this share of the behaviour are
# none.
CANDIDATE = 1e-3
# The roles that ratios are about.
NEEDS = (
    "duplicate_token",
    "induction",
    "s2_inhibition",
    "name_mover",
    "negative_name_mover",
    "copy_suppression",
)


class Consistency(NamedTuple):
    """Which part of each step of the algorithm is done by the heads that should do it.

    The algorithm has three steps (Wang et al. 2023): duplicate-token and induction
    heads find that S is repeated, S2-inhibition heads tell the name movers, and these
    copy what is left. Each ratio is

        Σ |effect[h]| over heads h of the roles / Σ |effect[h]| over all candidates h,

    in [0, 1], and NaN without candidates. Effects are those of single heads by path
    patching (Tigges et al. 2024 follow such ratios over training; how theirs are summed
    is not published, so these are this library's own).

    Args:
        direct: Effects on the logits. Roles: name movers, negative name movers, copy
            suppression; candidates: all heads.
        s2_inhibition: Effects on the queries of the name movers at the end, of the flip
            that exchanges positions. Role: S2-inhibition; candidates: heads without
            which at least a thousandth of the behaviour is lost.
        tertiary: Effects of the same flip on the values of S2-inhibition heads. Roles:
            induction and duplicate-token heads; candidates as before.
        chance: Share of candidates that have the roles, for each: what a ratio is for
            effects that have nothing to do with roles.
    """

    direct: Float[Array, ""]
    s2_inhibition: Float[Array, ""]
    tertiary: Float[Array, ""]
    chance: Float[Array, " step"]


def consistency(scene: Scene) -> Consistency:
    """The three ratios of a model.

    Args:
        scene: What was observed.
    """
    movers = scene.players("name_mover") | scene.players("negative_name_mover")
    movers |= scene.players("copy_suppression")
    direct = _ratio(scene.direct.mean, jnp.ones_like(movers), movers, scene)
    inhibiting = scene.players("s2_inhibition")
    into_movers = scene.into_queries["position"].mean
    second = _ratio(into_movers, into_movers < -CANDIDATE, inhibiting, scene)
    finders = scene.players("induction") | scene.players("duplicate_token")
    into_values = _into_values(scene, inhibiting)
    third = _ratio(into_values, into_values < -CANDIDATE, finders, scene)
    ratios, chances = zip(direct, second, third, strict=True)
    return Consistency(*ratios, jnp.stack(chances))


def _into_values(scene: Scene, heads: Bool[Array, "layer head"]) -> Array:
    """Effects of heads by way of the values of some others, positions exchanged."""
    flipped = scene.pairs._replace(corrupted=scene.flipped["position"])
    return scene.paths(scene.receivers(v=heads), flipped).mean


def _ratio(
    effects: Array, candidates: Array, roles: Array, scene: Scene
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The share of absolute effects that heads of some roles have, and chance."""
    size = jnp.where(candidates, jnp.abs(effects), 0)
    total, number = size.sum(), candidates.sum()
    known = scene.behaviour.told & (total > 0)
    of = jnp.where(roles, size, 0).sum() / jnp.where(known, total, 1)
    count = (candidates & roles).sum() / number.clip(1)
    nan = jnp.asarray(jnp.nan, size.dtype)
    return jnp.where(known, of, nan), jnp.where(known, count.astype(size.dtype), nan)
