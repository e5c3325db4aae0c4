"""Functions inside others are checked like all, by checks that are made once."""

import beartype
import jaxtyping
import numpy as np
import pytest
from jaxtyping import Float

from ._closures import once_for_code

Row = Float[np.ndarray, " n"]


@pytest.fixture
def made():
    """A maker of closures, and the functions whose checks have been made."""
    decorated = []

    def counted(**options):
        real = jaxtyping._decorator.jaxtyped(**options)
        return lambda fn: decorated.append(fn.__name__) or real(fn)

    check = once_for_code(counted)(typechecker=beartype.beartype)

    def make(factor: float, inner=None):
        @check
        def scaled(x: Row, y: Row) -> Row:
            return factor * (x + (y if inner is None else inner(x, y)))

        return scaled

    return make, decorated


def test_every_closure_is_itself_and_its_checks_are_made_once(made):
    make, decorated = made
    two, three = make(2.0), make(3.0)
    one = np.ones(4)
    assert two(one, one).tolist() == [4.0] * 4
    assert three(one, one).tolist() == [6.0] * 4
    # One inside another of the same code: 2 (1 + 3 (1 + 1)).
    assert make(2.0, three)(one, one).tolist() == [14.0] * 4
    assert decorated == ["scaled"]


def test_shapes_of_a_closure_are_checked_at_every_call(made):
    make, _ = made
    for closure in (make(2.0), make(3.0)):
        for _ in range(2):
            with pytest.raises(jaxtyping.TypeCheckError, match="scaled"):
                closure(np.ones(4), np.ones(5))
        assert closure(np.ones(4), np.ones(4)).shape == (4,)
    wrong = make(2.0, lambda x, y: np.ones((4, 4)))
    with pytest.raises(jaxtyping.TypeCheckError, match="return value"):
        wrong(np.ones(4), np.ones(4))
    # An error leaves nothing behind.
    assert make(2.0)(np.ones(1), np.ones(1)).tolist() == [4.0]
