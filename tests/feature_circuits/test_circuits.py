"""What circuits of features keep, and their edges."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import feature_circuits as fc
from jaxcirc.models import Add, capture
from jaxcirc.objectives import LogitDifference

from . import small
from .test_effects import SITES, value


@pytest.fixture(scope="module")
def found():
    return fc.effects(small.model(), SITES, small.pairs(), "attribution")


def everything(found, keep=True):
    return fc.FeatureCircuit(
        {site: jnp.full_like(x, keep, dtype=bool) for site, x in found.mean.items()},
        found.dictionaries,
    )


@pytest.mark.parametrize("ablation", fc.ABLATIONS)
def test_all_nodes_keep_all_and_none_keep_none(found, ablation):
    model, pairs = small.model(), small.pairs()
    ends = [everything(found), everything(found, False)]
    both = fc.FeatureCircuit(
        jax.tree.map(lambda *xs: jnp.stack(xs), *(c.keep for c in ends)),
        found.dictionaries,
    )
    curve = fc.faithfulness(model, pairs, both, ablation=ablation, batch_size=3)
    assert curve.normalised.tolist() == [1, 0]
    rest = fc.completeness(model, pairs, both, ablation=ablation, batch_size=3)
    assert rest.normalised.tolist() == [0, 1]
    np.testing.assert_allclose(curve.full, value(model, pairs), rtol=1e-5)


def test_with_everything_resampled_the_model_says_what_it_says_of_the_corrupted(found):
    """The last place's nodes are all that the logits read."""
    model, pairs = small.model(), small.pairs()
    curve = fc.faithfulness(model, pairs, everything(found, False), ablation="resample")
    swapped = pairs._replace(clean=pairs.corrupted)
    rounding = 1e-5 * float(jnp.abs(model(pairs.corrupted)).max())
    np.testing.assert_allclose(curve.none, value(model, swapped), rtol=0, atol=rounding)


def test_a_circuit_is_what_patching_its_complement_by_hand_gives():
    model, pairs = small.model(), small.pairs()
    one = small.poor_dictionary(3)
    found = fc.effects(model, {"blocks.1.hook_resid_post": one}, pairs, "attribution")
    circuit = fc.top(found, 4)
    curve = fc.faithfulness(model, pairs, circuit, ablation="zero")
    _, acts = capture(model, pairs.clean, ("resid_post",))
    x = acts["resid_post"][1]
    keep = np.asarray(circuit.keep["resid_post"])[1, 0]
    f = one.encode(x)
    gone = one.written(jnp.where(keep[:-1], 0, f))
    gone += 0 if keep[-1] else x - one(x)
    edit = Add("resid_post", jnp.stack([jnp.zeros_like(x), -gone]))
    rounding = 1e-5 * float(jnp.abs(model(pairs.clean)).max())
    np.testing.assert_allclose(
        curve.values[0], value(model, pairs, (edit,)), rtol=0, atol=rounding
    )


def test_nested_circuits_are_nested_and_named(found):
    three = fc.top(found, jnp.array([2, 5, 9]))
    assert three.size.tolist() == [2, 5, 9]
    names = [{node.name for node in three[i].nodes} for i in range(3)]
    assert names[0] < names[1] < names[2]
    assert fc.top(found, 5).nodes == three[1].nodes
    everything = set(n.name for n in fc.above(found, 0.0).nodes)
    assert {n.name for n in three[0].complement().nodes} >= everything - names[0]
    with pytest.raises(ValueError, match="index them"):
        three.nodes  # noqa: B018


def test_any_threshold_is_taken_as_the_number_that_it_is(found):
    """A published script reads 0.1 as 0."""
    largest = max(float(jnp.abs(x).max()) for x in found.mean.values())
    sizes = [int(fc.above(found, t * largest).size) for t in (0, 0.1, 0.3, 1)]
    assert sizes[0] > sizes[1] > sizes[2] > sizes[3] == 0
    with pytest.raises(ValueError, match="threshold"):
        fc.above(found, float("nan"))


def test_random_circuits_have_their_size_and_differ(found):
    drawn = fc.random_nodes(found, 6, 5, key=jr.key(0))
    assert drawn.size.tolist() == [6] * 5
    assert len({tuple(n.name for n in drawn[i].nodes) for i in range(5)}) > 1
    active = {n.name for n in fc.above(found, 0.0).nodes}
    assert {n.name for i in range(5) for n in drawn[i].nodes} <= active


def test_errors_can_be_kept_or_removed(found):
    model, pairs = small.model(), small.pairs()
    circuit = fc.top(found, 6)
    by_hand = {
        choice: fc.FeatureCircuit(
            {s: x.at[..., -1].set(choice == "keep") for s, x in circuit.keep.items()},
            found.dictionaries,
        )
        for choice in ("keep", "remove")
    }
    for choice, other in by_hand.items():
        a = fc.faithfulness(model, pairs, circuit, errors=choice).values
        b = fc.faithfulness(model, pairs, other).values
        np.testing.assert_allclose(a, b, rtol=1e-5)


def jacobian_by_hand(model, pairs, dictionary_u, dictionary_d):
    """Edges from layer 0 to layer 1 of `resid_post`, by a full Jacobian."""
    _, acts = capture(model, pairs.clean, ("resid_post",))
    _, other = capture(model, pairs.corrupted, ("resid_post",))
    x, y = acts["resid_post"][0], other["resid_post"][0]
    read = lambda x, u: jnp.concatenate([u.encode(x), x - u(x)], axis=-1)
    change = read(y, dictionary_u) - read(x, dictionary_u)

    def behind(delta):
        edit = Add("resid_post", jnp.stack([delta, jnp.zeros_like(delta)]))
        return capture(model, pairs.clean, ("resid_post",), edits=(edit,))[1][
            "resid_post"
        ][1]

    def after(delta):
        edit = Add("resid_post", jnp.stack([jnp.zeros_like(delta), delta]))
        run = lambda tokens: model(tokens, edits=(edit,))
        return LogitDifference().mean(run, pairs) * len(pairs.clean)

    g = jax.grad(after)(jnp.zeros_like(x))
    features = lambda delta: dictionary_d.encode(behind(delta))
    jac = jax.jacrev(features)(jnp.zeros_like(x))  # [ex, pos, d, ex, pos, d_model]
    unit = lambda d: d.written(jnp.eye(d.d_sae))
    ways = jnp.concatenate([unit(dictionary_u), jnp.eye(small.D)])
    n_u = dictionary_u.d_sae
    by_u = jnp.einsum("apdbqm,um,bqu->apdu", jac, ways, change)
    weights = g @ unit(dictionary_d).T
    edges = jnp.einsum("apd,apdu->ud", weights, by_u) / len(pairs.clean)
    return edges[:n_u], edges[n_u:].sum(axis=0)


def test_edges_are_those_of_the_whole_jacobian():
    model, pairs = small.model(), small.pairs(3)
    u, d = small.poor_dictionary(2), small.poor_dictionary(3)
    found = fc.effects(model, {"resid_post": small.stack(u, d)}, pairs, "attribution")
    edges = fc.edges(model, pairs, everything(found), batch_size=2, at_once=5)
    features, errors = jacobian_by_hand(model, pairs, u, d)
    n = u.d_sae
    values = edges.values
    of = lambda x: {"rtol": 0, "atol": 1e-5 * float(jnp.abs(x).max())}
    np.testing.assert_allclose(values[:n, n + 1 : -2], features, **of(features))
    np.testing.assert_allclose(values[n, n + 1 : -2], errors, **of(errors))
    # Nothing acts on what comes before it, or on another node of its own place.
    assert not jnp.any(values[n + 1 :, : n + 1])
    assert not jnp.any(values[: n + 1, : n + 1])


def test_direct_effects_add_up_to_the_whole_effect_of_a_node():
    """All that a node does, it does through the places behind it or past them."""
    model, pairs = small.model(), small.pairs(3)
    found = fc.effects(model, SITES, pairs, "attribution")
    edges = fc.edges(model, pairs, everything(found))
    row = {p.name: (p.site, p.row) for p in found.dictionaries.places}
    whole = np.array(
        [
            found.mean[row[n.place][0]][row[n.place][1], 0, n.feature]
            for n in edges.nodes
        ]
    )
    # A destination's share is exact where its features and errors are all there.
    total = np.asarray(edges.values).sum(axis=1)
    np.testing.assert_allclose(total, whole, atol=2e-5 * np.abs(whole).max())


def test_positions_are_told_apart():
    model, pairs = small.model(), small.pairs(3)
    by_pos = fc.effects(model, SITES, pairs, "attribution", positions=True)
    some = fc.top(by_pos, 12)
    assert all(node.pos is not None for node in some.nodes)
    edges = fc.edges(model, pairs, some)
    causal = np.array(
        [[u.pos <= d.pos for d in edges.nodes] for u in edges.nodes], dtype=bool
    )
    assert not np.any(np.asarray(edges.values)[:, :-1][~causal])
    with pytest.raises(ValueError, match="no node"):
        fc.edges(model, pairs, fc.top(by_pos, 0))
    shorter = pairs._replace(clean=pairs.clean[:, :7], corrupted=pairs.corrupted[:, :7])
    with pytest.raises(ValueError, match="positions"):
        fc.faithfulness(model, shorter, some)
