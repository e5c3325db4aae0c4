"""Path patching: what a part does by way of some inputs, and by no other way."""

from collections.abc import Sequence

from jaxtyping import Array, Shaped

from .._core import Objective, unknown
from ..models import Transformer, TransformerConfig, graph as graph_of
from ..tasks import Pairs
from ._ablation import AbstractAblation, ablation_of
from ._attribute import in_chunks
from ._checks import check_pairs
from ._chunks import chunk_size
from ._patch_nodes import NodeScores
from ._path_effects import STREAMS_HELD, PathEffects
from ._receivers import receivers_of
from ._values import LOGIT_DIFFERENCE, objective_name


def path_patch(
    model: Transformer,
    pairs: Pairs,
    receivers: Sequence[str] | Shaped[Array, " destination"],
    *,
    senders_at: str | None = None,
    receivers_at: str | None = None,
    through_mlps: bool = False,
    objective: Objective = LOGIT_DIFFERENCE,
    ablation: str | AbstractAblation = "resample",
    per_example: bool = False,
    batch_size: int | None = None,
    at_once: int = 8,
) -> NodeScores:
    """How the objective changes when each source is replaced for some receivers alone.

    Path patching (Wang et al. 2023, appendix B; Goldowsky-Dill et al. 2023). For each
    sender u there are three runs. The clean run is kept; in a second one u writes what
    is put in its place while all other heads, and MLPs, write what they have written in
    the clean run, and the inputs R_u of the receivers are noted; in a third, clean one
    the receivers read R_u, and all that follows from them runs as usual:

        effect[u] = m(receivers read R_u) - m(clean)

    Inputs of the receivers are held in the third run, so one receiver does not see what
    another makes of the change. For a single receiver this is the score of one edge
    (`patch`); for the logits alone it is the direct effect of u. All senders are
    patched in one compiled program, several at a time.

    Args:
        model: The model.
        pairs: Clean and corrupted sequences, with right and wrong answers.
        receivers: Names of destinations of `circuits.graph`, such as `L2H1.q`,
            `L2G0.k`, `L1.mlp` and `logits`, or a mask over all destinations.
        senders_at: Name of the only position of `pairs.positions` at which senders
            write something else; None for all.
        receivers_at: Name of the only position at which receivers read it.
        through_mlps: Whether MLPs between sender and receivers run again in the second
            run, so that they belong to the path, as in Wang et al. (2023); otherwise
            they are frozen like heads.
        objective: What a change is measured of.
        ablation: What senders write instead: a row of `ABLATIONS`, or an ablation.
        per_example: Whether examples are told apart.
        batch_size: Examples at once; what fits into memory by default.
        at_once: How many senders are patched at a time.

    Returns:
        A change for every source, in units of the objective: the mean over the examples
        that have an answer, unless each is told. It is exactly 0 for a source that no
        receiver reads.

    Raises:
        ValueError: a receiver or a position has no such name, or pairs, ablation and
            objective do not fit each other.

    Example:
        In a model that does induction by two heads, the second one alone speaks to the
        logits, and the first one to the key input of the second.

        >>> import jax.random as jr
        >>> from jaxcirc import circuits
        >>> from jaxcirc.tasks import Induction
        >>> task = Induction(n_symbols=7, n_ctx=9, shortest=3, longest=4)
        >>> model = circuits.induction_by_hand(task)
        >>> pairs = circuits.pairs(task, 8, key=jr.key(1))
        >>> direct = circuits.path_patch(model, pairs, ["logits"])
        >>> direct.graph.sources, (direct.values < -1).tolist()
        (('embed', 'L0H0', 'L1H0'), [False, False, True])
        >>> keys = circuits.path_patch(model, pairs, ["L1H0.k"])
        >>> (keys.values < -1).tolist()
        [False, True, False]
    """
    check_pairs(pairs, who="path_patch")
    for name in (senders_at, receivers_at):
        check_position(pairs, name, who="path_patch")
    ablation = ablation_of(ablation)
    graph = graph_of(model.config)
    effects = PathEffects(
        receivers_of(model.config, receivers),
        senders_at,
        receivers_at,
        through_mlps,
        at_once=at_once,
    )
    n_examples, n_pos = pairs.clean.shape
    if batch_size is None:
        batch_size = path_chunk(model.config, n_examples, n_pos, at_once, "path_patch")
    values, counts = in_chunks(
        model, pairs, effects, ablation.fitted(model, pairs), objective, graph, None, 0,
        per_example, min(batch_size, n_examples),
    )  # fmt: skip
    name = objective_name(objective)
    counts = counts if per_example else None
    return NodeScores(values, graph, ablation.name, name, counts)


def path_chunk(
    config: TransformerConfig, n_examples: int, n_pos: int, at_once: int, who: str
) -> int:
    """How many examples are worked on at once.

    Args:
        config: Of the model.
        n_examples: How many there are.
        n_pos: Length of a sequence.
        at_once: Senders that are patched at a time.
        who: Who asks, for the message.

    Raises:
        ValueError: a single example needs more than there is.
    """
    # A run holds its activations once and the streams of all layers a few times.
    return chunk_size(config, n_examples, n_pos, at_once + STREAMS_HELD, who)


def check_position(pairs: Pairs, name: str | None, *, who: str) -> None:
    """Refuse a position that the pairs do not name.

    Args:
        pairs: The pairs.
        name: Of the position; None for all positions.
        who: Who complains.

    Raises:
        ValueError: the pairs have no such position.
    """
    if name is not None and name not in pairs.positions:
        raise ValueError(f"{who}: {unknown('position', name, pairs.positions)}")
