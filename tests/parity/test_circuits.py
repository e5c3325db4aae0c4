"""Scores of edges against frozen numbers of EAP-IG's and auto-circuit's own code."""

import json
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc import circuits
from jaxcirc._core import named_leaves
from jaxcirc.models import Transformer, TransformerConfig
from jaxcirc.tasks import Pairs

from . import circuit_inputs as given

FROZEN = json.loads((pathlib.Path(__file__).parent / "circuits.json").read_text())
THEIRS = {name: np.array(x) for name, x in FROZEN["eap_ig"].items()}


@pytest.fixture(scope="module")
def model():
    config = TransformerConfig(
        d_vocab=given.D_VOCAB,
        n_ctx=given.N_CTX,
        n_layers=given.LAYERS,
        d_model=given.D_MODEL,
        n_heads=given.HEADS,
        d_mlp=given.D_MLP,
        activation="gelu_tanh",
        norm="layer",
        norm_eps=given.EPS,
    )
    weights = given.weights()
    empty = eqx.filter_eval_shape(Transformer, config, key=jax.random.key(0))
    names = named_leaves(empty)
    assert {name: leaf.shape for name, leaf in names.items()} == {
        name: x.shape for name, x in weights.items()
    }
    leaves = [jnp.asarray(weights[name], jnp.float32) for name in names]
    return jax.tree.unflatten(jax.tree.structure(empty), leaves)


@pytest.fixture(scope="module")
def pairs():
    rows = {k: jnp.asarray(v, jnp.int32) for k, v in given.prompts().items()}
    end = {"end": jnp.full(given.EXAMPLES, given.N_CTX - 1)}
    answers = (rows["right"][:, None], rows["wrong"][:, None])
    return Pairs(rows["clean"], rows["corrupted"], *answers, end)


def same(ours, theirs, rtol=1e-4):
    """Equal, measured by the largest score; what they have where no edge is, is 0."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=rtol * np.abs(theirs).max())


METHODS = {
    "eap": {},
    "eap_ig_inputs": {"steps": given.STEPS, "rule": "left"},
    "clean_corrupted": {},
}


@pytest.mark.parametrize("method", METHODS)
def test_scores_are_those_of_eap_ig(model, pairs, method):
    """They divide a mean by the number of examples once more."""
    ours = circuits.attribute(model, pairs, method, **METHODS[method])
    same(ours.values, THEIRS[method] * given.EXAMPLES)


def test_zeroing_what_tokens_write_is_their_zero_ablation(model, pairs):
    """Their input is the tokens' part alone, so positions are a source of their own."""
    ours = circuits.attribute(model, pairs, "eap", ablation="zero", positions=True)
    place = ours.graph.sources.index("pos_embed")
    same(np.delete(ours.values, place, axis=0), THEIRS["eap zero"] * given.EXAMPLES)


def test_exact_patching_is_theirs(model, pairs):
    same(circuits.patch(model, pairs).values, THEIRS["exact"])


def test_scores_do_not_depend_on_how_examples_are_divided_as_theirs_do(model, pairs):
    whole = np.asarray(circuits.attribute(model, pairs, "eap").values)
    uneven = circuits.attribute(model, pairs, "eap", batch_size=5)
    same(uneven.values, whole, rtol=1e-5)
    # Theirs shrink with the size of a batch, and weigh examples of a smaller last one
    # more than the others.
    same(THEIRS["eap by 4"] * 4, whole)
    theirs = THEIRS["eap by 5 and 3"]
    scale = (theirs * whole).sum() / (theirs**2).sum()
    assert np.abs(scale * theirs - whole).max() > 0.01 * np.abs(whole).max()


def test_a_flat_objective_is_refused_where_theirs_is_zero_everywhere(model, pairs):
    """The divergence from the clean run has no slope at the clean run."""
    assert np.abs(THEIRS["eap of a divergence"]).max() < 1e-9 * THEIRS["eap"].max()
    own = jax.nn.log_softmax(model(pairs.clean))

    def divergence(run, some):
        # All prompts in the order in which they were given.
        log = jax.nn.log_softmax(run(some.clean))
        return (jnp.exp(own) * (own - log)).sum(axis=-1)[: len(some.clean), -1]

    with pytest.raises(ValueError, match="flat at the clean run"):
        circuits.attribute(model, pairs, "eap", objective=divergence)


def their_name(name: str) -> str:
    """`embed->L0H1.q` as auto-circuit calls it, `Resid Start->A0.1.Q`."""
    ends = {"embed": "Resid Start", "logits": "Resid End"}
    words = []
    for node in name.split("->"):
        layer, _, rest = node.removeprefix("L").partition("H")
        at = node.removeprefix("L").removesuffix(".mlp")
        plain = f"MLP {at}" if node.endswith(".mlp") else f"A{layer}.{rest.upper()}"
        words.append(ends.get(node, plain))
    return "->".join(words)


def test_scores_are_minus_the_mask_gradients_of_auto_circuit(model, pairs):
    """Their loss falls as the difference rises, and their masks are what is patched."""
    scores = circuits.attribute(model, pairs, "eap")
    theirs = FROZEN["auto_circuit"]["mask_gradient"]
    edges = [their_name(name) for name in scores.graph.names]
    assert set(edges) == set(theirs)
    ours = np.asarray(scores.values)[scores.graph.exists]
    same(ours, -np.array([theirs[name] for name in edges]))
