"""Effects of features against patching them, on models whose answer is known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc import feature_circuits as fc
from jaxcirc.models import Add, capture
from jaxcirc.objectives import LogitDifference

from . import small

SITES = {
    "embed": small.poor_dictionary(1),
    "resid_post": small.stack(small.poor_dictionary(2), small.poor_dictionary(3)),
    "blocks.1.attn.out": small.poor_dictionary(4, 10),
}


def value(model, pairs, edits=()):
    run = lambda tokens: model(tokens, edits=edits)
    return LogitDifference().mean(run, pairs)


def whole(effects):
    """The sum over all nodes of each place, errors included."""
    return {
        p.name: float(effects.mean[p.site][p.row].sum())
        for p in effects.dictionaries.places
    }


@pytest.mark.parametrize("method", fc.METHODS)
@pytest.mark.parametrize("ablation", fc.ABLATIONS)
def test_on_a_linear_model_predictions_are_the_truth(method, ablation):
    model, pairs = small.linear_model(), small.pairs()
    found = fc.effects(model, SITES, pairs, method, steps=3, ablation=ablation)
    nodes, exact = fc.exact_effects(
        model, pairs, fc.above(found, 0.0), ablation=ablation
    )
    assert len(nodes) > 20
    mean = found.mean
    row = {p.name: (p.site, p.row) for p in found.dictionaries.places}
    predicted = [mean[row[n.place][0]][row[n.place][1], 0, n.feature] for n in nodes]
    scale = float(jnp.abs(exact).max())
    np.testing.assert_allclose(predicted, exact, atol=1e-5 * scale)


def test_features_and_errors_of_a_place_sum_to_patching_it_whole():
    model, pairs = small.linear_model(), small.pairs()
    found = fc.effects(model, SITES, pairs, "attribution")
    _, clean = capture(model, pairs.clean, ("embed", "resid_post", "attn.out"))
    _, other = capture(model, pairs.corrupted, ("embed", "resid_post", "attn.out"))
    before = value(model, pairs)
    rounding = 1e-5 * float(jnp.abs(model(pairs.clean)).max())
    for place in found.dictionaries.places:
        change = other[place.site] - clean[place.site]
        if place.layer is not None:
            one = jnp.arange(2)[:, None, None, None] == place.layer
            change = jnp.where(one, change, 0)
        total = value(model, pairs, (Add(place.site, change),)) - before
        np.testing.assert_allclose(
            whole(found)[place.name], total, rtol=0, atol=rounding
        )


def test_integrated_gradients_sum_to_the_truth_where_the_gradient_does_not():
    """Completeness of the method: the line's integral is the whole difference."""
    model, pairs = small.model(), small.pairs()
    site = {"blocks.0.hook_resid_post": small.exact_dictionary()}
    many = fc.effects(model, site, pairs, "integrated_gradients", steps=40,
                      rule="midpoint")  # fmt: skip
    one = fc.effects(model, site, pairs, "attribution")
    _, clean = capture(model, pairs.clean, ("resid_post",))
    _, other = capture(model, pairs.corrupted, ("resid_post",))
    change = (other["resid_post"] - clean["resid_post"]).at[1].set(0)
    total = value(model, pairs, (Add("resid_post", change),)) - value(model, pairs)
    off = {
        name: abs(sum(whole(found).values()) - total)
        for name, found in (("many", many), ("one", one))
    }
    assert off["many"] < 0.01 * abs(total)
    assert off["one"] > 5 * off["many"]


def test_exact_dictionaries_have_no_error():
    model, pairs = small.model(), small.pairs()
    site = {"resid_post": small.stack(*[small.exact_dictionary()] * 2)}
    found = fc.effects(model, site, pairs)
    assert all(share < 1e-6 for share in found.error_share().values())
    poor = fc.effects(model, {"resid_post": SITES["resid_post"]}, pairs)
    assert all(0 < share < 1 for share in poor.error_share().values())


def test_chunks_and_positions_add_up():
    model, pairs = small.model(), small.pairs(5)
    found = [
        fc.effects(model, SITES, pairs, "attribution", batch_size=size, positions=at)
        for size, at in ((5, False), (2, False), (3, True))
    ]
    for site in found[0].values:
        whole, parts, by_pos = (x.values[site] for x in found)
        scale = float(jnp.abs(whole).max())
        np.testing.assert_allclose(parts, whole, atol=1e-5 * scale)
        np.testing.assert_allclose(
            by_pos.sum(axis=2, keepdims=True), whole, atol=1e-5 * scale
        )


def test_examples_without_an_answer_count_nothing():
    model, pairs = small.model(), small.pairs(4)
    dropped = pairs._replace(right=pairs.right.at[1].set(-1))
    some = jax.tree.map(lambda x: x[jnp.array([0, 2, 3])], pairs)
    a = fc.effects(model, SITES, dropped, "attribution").mean["resid_post"]
    b = fc.effects(model, SITES, some, "attribution").mean["resid_post"]
    np.testing.assert_allclose(a, b, atol=1e-5 * float(jnp.abs(b).max()))


@pytest.mark.parametrize(
    ("dictionaries", "words"),
    [
        ({}, "at least one"),
        ({"attn.z": small.poor_dictionary()}, "d_model numbers for each position"),
        ({"resid_post": small.poor_dictionary()}, "2 layers, stacked"),
        ({"blocks.7.hook_resid_post": small.poor_dictionary()}, "2 layers"),
        ({"blocks.0.hook_resid_post": SITES["resid_post"]}, "single place"),
        (
            {
                "blocks.0.hook_resid_post": small.poor_dictionary(),
                "blocks.1.hook_resid_post": small.poor_dictionary(0, 14),
            },
            "differ in size",
        ),
        (
            {
                "resid_post": SITES["resid_post"],
                "blocks.1.hook_resid_post": small.poor_dictionary(),
            },
            "two dictionaries",
        ),
    ],
)
def test_dictionaries_that_do_not_fit_are_refused(dictionaries, words):
    with pytest.raises(ValueError, match=words):
        fc.dictionaries_of(small.model(), dictionaries)


def test_a_flat_objective_and_unknown_names_are_refused():
    model, pairs = small.model(), small.pairs()
    with pytest.raises(ValueError, match="method"):
        fc.effects(model, SITES, pairs, "gradient")
    with pytest.raises(ValueError, match="ablation"):
        fc.effects(model, SITES, pairs, ablation="noise")
    flat = lambda model, pairs: 0 * model(pairs.clean)[:, 0, 0]
    with pytest.raises(ValueError, match="effects"):
        fc.effects(model, SITES, pairs, "attribution", objective=flat)


def test_intervals_cover_the_mean_of_the_population():
    """Effects of examples drawn from a known law, six at a time, 2,000 times."""
    model, pairs = small.linear_model(), small.pairs(2)
    found = fc.effects(
        model, {"blocks.0.hook_resid_post": small.poor_dictionary()}, pairs,
        "attribution",
    )  # fmt: skip
    draws = 3.0 + jax.random.normal(jax.random.key(0), (6, 1, 1, 2000))
    many = eqx.tree_at(
        lambda e: (e.values, e.counts),
        found,
        ({"resid_post": draws}, jnp.ones(6, bool)),
    )
    low, high = (x["resid_post"] for x in many.interval(0.95))
    covered = float(((low < 3.0) & (high > 3.0)).mean())
    # Four standard errors of a share of 2,000.
    assert abs(covered - 0.95) < 4 * (0.95 * 0.05 / 2000) ** 0.5
