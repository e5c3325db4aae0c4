"""Random RASP programs compile, and agree with the interpreter on every input."""

import hypothesis
import jax
import pytest
from hypothesis import strategies as st

import tracr_bridge as tb
from tracr_bridge.rasp._compile import sample_inputs

rasp = pytest.importorskip("tracr.rasp.rasp")
compiling = pytest.importorskip("tracr.compiler.compiling")
cases = pytest.importorskip("tracr.compiler.test_cases")

VOCAB, LENGTH = (0, 1, 2), 4
UNARY = {
    "parity": lambda x: x % 2,
    "is_one": lambda x: int(x == 1),
    "capped": lambda x: min(x, 2),
    "flipped": lambda x: 2 - min(x, 2),
}
BINARY = {
    "sum": lambda x, y: (x + y) % 3,
    "same": lambda x, y: int(x == y),
    "larger": lambda x, y: max(x, y) % 4,
}
# Each position chooses exactly one other: categories cannot be averaged.
TARGETS = {
    "before": lambda i: max(i - 1, 0),
    "first": lambda i: 0 * i,
    "even": lambda i: i - i % 2,
}
COMPARISONS = ("EQ", "LT", "LEQ", "GT", "NEQ")


@st.composite
def expressions(draw, depth=3):
    """A categorical expression of small whole numbers."""
    if depth == 0:
        return draw(st.sampled_from((rasp.tokens, rasp.indices)))
    kind = draw(st.sampled_from(("map", "pair", "gather", "width", "leaf")))
    if kind == "leaf":
        return draw(expressions(depth=0))
    inner = draw(expressions(depth=depth - 1))
    if kind == "map":
        return rasp.Map(UNARY[draw(st.sampled_from(sorted(UNARY)))], inner)
    if kind == "pair":
        other = draw(expressions(depth=depth - 1))
        return rasp.SequenceMap(
            BINARY[draw(st.sampled_from(sorted(BINARY)))], inner, other
        )
    if kind == "gather":
        target = rasp.Map(TARGETS[draw(st.sampled_from(sorted(TARGETS)))], rasp.indices)
        selected = rasp.Select(rasp.indices, target, rasp.Comparison.EQ)
        return rasp.Aggregate(selected, inner)
    other = draw(expressions(depth=depth - 1))
    comparison = getattr(rasp.Comparison, draw(st.sampled_from(COMPARISONS)))
    return rasp.SelectorWidth(rasp.Select(inner, other, comparison))


@st.composite
def programs(draw):
    """Such an expression, or the share of positions at which it is 1."""
    expression = draw(expressions())
    if draw(st.booleans()):
        return expression
    flag = rasp.numerical(rasp.Map(lambda x: int(x == 1), expression))
    before = rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.LEQ)
    return rasp.numerical(rasp.Aggregate(before, flag, default=0))


def reads_tokens(program):
    return program is rasp.tokens or any(map(reads_tokens, program.children))


def check(program):
    # tracr compiles what depends on the tokens, and is more than them.
    hypothesis.assume(program.children and reads_tokens(program))
    # 3 + 9 + 27 + 81 sequences: every one is compared while compiling.
    try:
        compiled = tb.compile(program, VOCAB, LENGTH)
    except ValueError:
        compiled = None
    if compiled is None:
        assert tracr_is_wrong(program)
        hypothesis.reject()
    assert compiled.exactness.exhaustive
    assert compiled.exactness.inputs == 120
    assert compiled.exactness.largest_error < 1e-2


def tracr_is_wrong(program):
    """Whether tracr's own model disagrees with the interpreter somewhere.

    It does where widths are the keys of a selector: at BOS they are not a width.
    """
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = compiling.compile_rasp_to_model(
            program, set(VOCAB), LENGTH, compiler_bos="BOS", compiler_pad="PAD"
        )
        for sequence in sample_inputs(VOCAB, LENGTH, 200)[0]:
            said = theirs.apply(["BOS", *sequence]).decoded[1:]
            for a, b in zip(said, program(sequence), strict=True):
                if b is not None and abs(a - b) > 1e-2:
                    return True
    return False


SETTINGS = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": list(hypothesis.HealthCheck),
}


@hypothesis.given(program=programs())
@hypothesis.settings(max_examples=5, **SETTINGS)
def test_random_programs(program):
    check(program)


@pytest.mark.slow
@hypothesis.given(program=programs())
@hypothesis.settings(max_examples=200, **SETTINGS)
def test_two_hundred_random_programs(program):
    check(program)


def published():
    """Examples that come with tracr, and whether they are for causal attention."""
    groups = ((cases.TEST_CASES, False), (cases.CAUSAL_TEST_CASES, True))
    return [(case, causal) for group, causal in groups for case in group]


def title(value):
    return value["testcase_name"] if isinstance(value, dict) else str(value)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "causal"), published(), ids=title)
def test_an_example_that_comes_with_tracr(case, causal):
    compiled = tb.compile(
        case["program"], case["vocab"], case["max_seq_len"], causal=causal, check=20
    )
    decoded = compiled(["BOS", *case["test_input"]]).decoded[1:]
    for said, expected in zip(decoded, case["expected_output"], strict=True):
        if expected is not None:
            assert said == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("case", cases.UNSUPPORTED_TEST_CASES, ids=title)
def test_what_tracr_does_not_support_is_refused(case):
    with pytest.raises(ValueError, match="tracr refuses"):
        tb.compile(case["program"], case["vocab"], case["max_seq_len"])
