"""Programs whose circuits are known: what patching finds, and what attribution does."""

import numpy as np
import pytest

import tracr_bridge as tb
from jaxcirc import circuits
from tests.circuits.truth import Agreement, auroc, has_effect, largest, random_pairs

rasp = pytest.importorskip("tracr.rasp.rasp")
lib = pytest.importorskip("tracr.compiler.lib")

ATTRIBUTION = ("eap", "eap_ig_inputs", "clean_corrupted")


def reverse():
    return lib.make_reverse(rasp.tokens)


def proportion():
    return tb.programs.fraction_of_previous()


PROGRAMS = {"reverse": (reverse, (1, 2, 3)), "proportion": (proportion, "wxyz")}
# Where a partner differs in its tokens alone, what positions say has no effect. Zeros
# remove constants that a program counts on: the steps of reverse by which the length
# becomes the place to look at, and which of the positions that is.
RESAMPLE = {
    "reverse": {"embed->L3H0.v", "L3H0->logits"},
    "proportion": {"embed->L0.mlp", "L0.mlp->L1H0.v", "L1H0->logits"},
}
ZERO = {
    "reverse": RESAMPLE["reverse"]
    | {"embed->L0.mlp", "embed->L1.mlp", "L0.mlp->L1.mlp", "L1.mlp->L2.mlp"}
    | {"L2.mlp->L3H0.q", "pos_embed->L1.mlp", "pos_embed->L3H0.k"},
    "proportion": RESAMPLE["proportion"] | {"pos_embed->L1H0.q", "pos_embed->L1H0.k"},
}


@pytest.fixture(
    scope="module",
    params=["reverse", pytest.param("proportion", marks=pytest.mark.slow)],
)
def program(request):
    """Its name, the compiled program and pairs of random sequences."""
    build, vocab = PROGRAMS[request.param]
    compiled = tb.compile(build(), vocab, 5, check=10)
    return request.param, compiled.model, random_pairs(compiled, 16)


def truth(scores):
    true = has_effect(largest(scores))
    return {
        n
        for n, e in zip(scores.graph.names, true[scores.graph.exists], strict=True)
        if e
    }


@pytest.mark.parametrize("ablation", ["resample", "zero"])
def test_a_program_has_the_edges_that_it_was_made_of(program, ablation):
    name, model, pairs = program
    asked = {
        "objective": Agreement(model),
        "ablation": ablation,
        "positions": True,
        "per_example": True,
    }
    exact = circuits.patch(model, pairs, **asked)
    exists, names = exact.graph.exists, np.array(exact.graph.names)
    true = has_effect(largest(exact))[exists]
    assert set(names[true]) == {"resample": RESAMPLE, "zero": ZERO}[ablation][name]

    # Attribution finds them, and no others, if it is asked about the same ablation.
    for method in ATTRIBUTION:
        scores = largest(circuits.attribute(model, pairs, method, **asked))[exists]
        assert auroc(scores, true) == 1, method
        # What is the same in both sequences has no score, however much it is needed.
        constants = np.isin(names, list(ZERO[name] - RESAMPLE[name]))
        assert ablation == "zero" or not scores[constants].any()
