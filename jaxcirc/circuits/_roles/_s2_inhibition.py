"""Heads that keep the name movers from the repeated name."""

from ._behaviour import NAMES
from ._role import Role, RoleSpec, gated
from ._scene import LEAST_SHARE, Scene


def s2_inhibition(scene: Scene) -> Role:
    """The share of the behaviour that a head carries by way of the movers' queries.

    A head writes what it writes in a prompt whose repeated name is the same token and
    stood in the other place (ABB -> BAB), and nothing reads that but the queries of the
    name movers at the end. The score is the share of the behaviour that is lost. The
    movers must then attend less to IO and more to S1. Effects of the other `flips` are
    evidence of what the head tells the movers: the token, the position, or both.

    Args:
        scene: What was observed.
    """
    by_flip = scene.into_queries
    # Of the flips this one alone moves the position and leaves every token there.
    main = by_flip["position"]
    assert main.attention is not None
    to_io, to_s1 = main.attention[..., 0], main.attention[..., 1]
    score = gated(
        -main.mean,
        0.0,
        scene.behaviour.told,
        main.told,
        main.mean < 0,
        to_io < 0,
        to_s1 > 0,
    )
    evidence = {f"effect_{name}": effects.mean for name, effects in by_flip.items()}
    evidence |= {"attention_to_io": to_io, "attention_to_s1": to_s1}
    return Role(score, 0.0, evidence)


ROLE = RoleSpec(
    "s2_inhibition",
    "keeps name movers from the repeated name",
    s2_inhibition,
    LEAST_SHARE,
    NAMES,
    "Wang et al. (2023), Interpretability in the wild",
)
