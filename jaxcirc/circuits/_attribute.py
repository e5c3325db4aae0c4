"""Scores of all edges of a model, by any method."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from .._core import Catalogue, Objective, find
from ..models import Transformer, graph as graph_of
from ..tasks import Pairs
from . import (
    _acdc,
    _atp_star,
    _eap_ig_activations,
    _edge_pruning,
    _exact,
    _information_flow,
    _path,
)
from ._ablation import AbstractAblation, ablation_of
from ._checks import check_moves, check_pairs
from ._chunks import chunk_size, require_room
from ._method import AbstractMethod, MethodSpec
from ._scores import Scores
from ._setting import Setting
from ._values import LOGIT_DIFFERENCE, objective_name, values_of

_OWN = (
    _exact.SPEC,
    *_path.SPECS,
    _eap_ig_activations.SPEC,
    _atp_star.SPEC,
    _information_flow.SPEC,
    _acdc.SPEC,
    _edge_pruning.SPEC,
)
METHODS = Catalogue("jaxcirc.methods", _OWN, of=MethodSpec)


def attribute(
    model: Transformer,
    pairs: Pairs,
    method: str | AbstractMethod = "eap_ig_inputs",
    *,
    objective: Objective = LOGIT_DIFFERENCE,
    ablation: str | AbstractAblation = "resample",
    positions: bool = False,
    spans: Int[Array, "example pos"] | None = None,
    per_example: bool = False,
    batch_size: int | None = None,
    **options,
) -> Scores:
    """How the objective changes when each edge is corrupted, as a method predicts it.

    One compiled program for all chunks of examples, and for all models of one shape:
    over stacked checkpoints it is a `jax.vmap`, or called for one after the other it
    compiles once.

    Args:
        model: The model.
        pairs: Clean and corrupted sequences, with right and wrong answers.
        method: A row of `METHODS`, such as `eap_ig_inputs`, or a method.
        objective: What a change is measured of: an objective of pairs, or any function
            `(model, pairs)` that gives a value for each pair.
        ablation: What is put in place along an edge: a row of `ABLATIONS`, or an
            ablation.
        positions: Whether learned positions are a source of their own.
        spans: The span of each position, in numbers from 0, if edges are to be told
            apart by where they are read: positions of a task, or `jnp.arange(n_pos)`.
        per_example: Whether examples are told apart.
        batch_size: Examples at once; what fits into memory by default.
        **options: Of the method, if it is given by its name, such as `steps`.

    Returns:
        Scores; their mean over the examples that have an answer, unless each is told.

    Raises:
        ValueError: pairs, method, ablation, graph or objective do not fit each other;
            the message says which and what to do.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc import circuits
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> from jaxcirc.tasks import Induction
        >>> task = Induction(7, 9, 3, 4)
        >>> config = TransformerConfig(d_vocab=8, n_ctx=9, n_layers=1, n_heads=2)
        >>> model = Transformer(config, key=jr.key(0))
        >>> pairs = circuits.pairs(task, 4, key=jr.key(1))
        >>> scores = circuits.attribute(model, pairs, "eap")
        >>> scores.values.shape
        (3, 7)
    """
    method = _method_of(method, options)
    ablation = ablation_of(ablation)
    graph = graph_of(model.config, positions=positions)
    check_pairs(pairs, who="attribute")
    if method.clean_only:
        check_moves(model, pairs, objective, method.name)
    _check_options(method, per_example, spans)
    n_spans = 0 if spans is None else int(jnp.max(spans)) + 1
    n_examples, n_pos = pairs.clean.shape
    if not method.adds:
        require_room(model.config, n_examples, n_pos, f"attribute: {method.name}")
        batch_size = n_examples
    elif batch_size is None:
        batch_size = chunk_size(
            model.config, n_examples, n_pos, method.runs, f"attribute: {method.name}"
        )
    fitted = ablation.fitted(model, pairs)
    values, counts = in_chunks(
        model, pairs, method, fitted, objective, graph, spans, n_spans, per_example,
        min(batch_size, n_examples),
    )  # fmt: skip
    return Scores(
        values,
        graph,
        method.name,
        ablation.name,
        objective_name(objective),
        counts if per_example else None,
    )


def patch(model: Transformer, pairs: Pairs, *, at_once: int = 16, **options) -> Scores:
    """The truth: how the objective changes when each edge is patched for itself.

    As many forward passes as there are edges, for each example, in one program: minutes
    for a small model, and what every prediction is to be compared with.

    Args:
        model: The model.
        pairs: Clean and corrupted sequences, with right and wrong answers.
        at_once: How many edges are patched at a time.
        **options: As for `attribute`: `objective`, `ablation`, `spans`, ….

    Returns:
        Scores of the method `exact`.

    Raises:
        ValueError: as `attribute`.
    """
    return attribute(model, pairs, "exact", at_once=at_once, **options)


def _method_of(given: str | AbstractMethod, options: dict) -> AbstractMethod:
    if isinstance(given, AbstractMethod):
        if options:
            raise ValueError(
                f"attribute: {', '.join(options)} is no option of `attribute`; a "
                "method that is given as it is has its options already."
            )
        return given
    row = find(METHODS, given, kind="method")
    try:
        return row.build(**options)
    except TypeError as error:
        raise ValueError(f"attribute: method {given!r}: {error}.") from None


def _check_options(method: AbstractMethod, per_example: bool, spans) -> None:
    if not method.adds and (per_example or spans is not None):
        raise ValueError(
            f"attribute: {method.name} looks at all examples and positions together, "
            "so it cannot tell them apart. Leave out `per_example` and `spans`."
        )


@eqx.filter_jit
def in_chunks(
    model, pairs, method, ablation, objective, graph, spans, n_spans, each, size
):
    """Scores of all examples, and which of them count.

    Args:
        model: The model.
        pairs: All pairs.
        method: What is asked of each chunk, its answers added up or put side by side.
        ablation: What is put in place, fitted to all pairs.
        objective: What changes.
        graph: Whose edges are asked about.
        spans: The span of each position; None where they are not told apart.
        n_spans: How many spans there are; 0 without.
        each: Whether examples are told apart.
        size: Examples of a chunk.
    """
    n_examples = pairs.clean.shape[0]
    places = jnp.arange(-(-n_examples // size) * size).reshape(-1, size)

    def chunk(places):
        # The last chunk is filled up with an example that counts nothing.
        rows = jnp.minimum(places, n_examples - 1)
        some, here = jax.tree.map(lambda x: x[rows], (pairs, spans))
        weights = (places < n_examples).astype(jnp.float32)
        setting = Setting(
            model, some, weights, ablation(model, some), objective, graph, here,
            n_spans, each,
        )  # fmt: skip
        counts = values_of(objective, model(some.clean), some)[1] & (weights > 0)
        return method(setting), counts

    def add(total, places):
        scores, counts = chunk(places)
        return total + scores, counts

    with jax.default_matmul_precision("highest"):
        if each:
            values, counts = jax.lax.map(chunk, places)
            values = values.reshape(-1, *values.shape[2:])[:n_examples]
            return values, counts.reshape(-1)[:n_examples]
        shape = jax.eval_shape(chunk, places[0])[0]
        total, counts = jax.lax.scan(add, jnp.zeros(shape.shape, shape.dtype), places)
        return total / counts.sum().astype(total.dtype), counts
