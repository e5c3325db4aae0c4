"""A row of the metric catalogue, and what its tests are told about it."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from jaxtyping import Array, Float

# What a metric takes: one array, one matrix by its singular values, an array at two
# times, or two matrices with rows of the same examples.
Kind = Literal["array", "spectrum", "change", "similarity"]
Data = Literal["weights", "activations", "gradients"]
EVERY_DATA: tuple[Data, ...] = ("weights", "activations", "gradients")
# Transformations that may leave a metric unchanged; the tests apply them.
Invariance = Literal[
    "scale",  # c x
    "common_scale",  # c x and c y
    "sign",  # -x
    "rotation",  # Q x R, with orthogonal Q and R
    "order",  # entries in another order
    "transpose",  # x transposed
    "translation",  # the same vector added to every example, of x or of y
    "feature_rotation",  # x Q
    "invertible_x",  # x A, with invertible A
    "invertible_y",  # y A
    "example_order",  # rows of x and y in another, common order
    "exchange",  # x and y exchanged
]


class Known(NamedTuple):
    """A value that theory gives, and how near a finite sample must come.

    Args:
        args: Makes the arguments of the metric; a function, since a row must not hold
            arrays before anybody asks.
        value: The value there.
        tolerance: Largest error, absolute or relative; wider for random samples.
    """

    args: Callable[[], tuple]
    value: float
    tolerance: float = 1e-5


class Similarity(NamedTuple):
    """How alike two representations are, and what unrelated ones would give.

    Args:
        value: The similarity, or for a distance the distance.
        chance: Its value for representations of the same sizes that have nothing to do
            with each other.
    """

    value: Float[Array, ""]
    chance: Float[Array, ""]


class MetricSpec(NamedTuple):
    """A metric as studies, reports and tests see it.

    Args:
        name: What a study calls it.
        summary: One line for `jaxcirc list`.
        fn: The metric: of one array (`array`), of one matrix (`spectrum`), of an array
            and itself at another time (`change`), or of two matrices whose rows are the
            same examples (`similarity`, which returns a `Similarity`).
        kind: Which of these it is.
        bounds: Smallest and largest value; None where sizes decide.
        units: Units of the value; empty where it has none.
        paper: The reference.
        invariant_to: What leaves it unchanged.
        known: Values that theory gives.
        data: What it may be taken of.
        of_spectrum: For `spectrum`: the same from singular values, descending, so that
            one decomposition serves all.
        prepare: For `similarity`: what is computed of each matrix once.
        compare: For `similarity`: two of those -> `Similarity`.
        at_zero: Value of arrays that are all zero; NaN where there is none to give.
        counts: Whether it counts entries or directions, so that it is piecewise
            constant and an entry that is not a number may be one that it leaves out.
        smooth: Whether it has a gradient that says anything; never where it counts.
    """

    name: str
    summary: str
    fn: Callable[..., Any]
    kind: Kind
    bounds: tuple[float, float | None]
    units: str
    paper: str
    invariant_to: frozenset[Invariance] = frozenset()
    known: tuple[Known, ...] = ()
    data: tuple[Data, ...] = EVERY_DATA
    of_spectrum: Callable[[Array], Array] | None = None
    prepare: Callable[[Array], Any] | None = None
    compare: Callable[[Any, Any], Similarity] | None = None
    at_zero: float = 0.0
    counts: bool = False
    smooth: bool = True
