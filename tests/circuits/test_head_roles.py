"""Roles of heads: a model written by hand, what leaves its roles alone, and noise."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import circuits
from jaxcirc._core import find
from jaxcirc.models import MODELS, Transformer, TransformerConfig
from jaxcirc.objectives import LogitDifference
from jaxcirc.tasks import ByteTokenizer


@pytest.fixture(scope="module")
def world():
    return circuits.roles_by_hand()


@pytest.fixture(scope="module")
def pairs(world):
    return world.pairs(12, key=jr.key(0))


def found_in(world, pairs, model):
    options = dict(classes=world.classes, top=1, n_sequences=4, key=jr.key(1))
    return circuits.head_roles(model, pairs, **options)


@pytest.fixture(scope="module")
def found(world, pairs):
    return found_in(world, pairs, world.model)


def players(found):
    return {role: found.of(role) for role in found.roles}


def test_every_planted_head_plays_its_role_and_no_other_head_does(world, found):
    assert players(found) == {role: [head] for role, head in world.players.items()}
    assert set(found.roles) == {row.name for row in circuits.ROLES}


def test_the_planted_model_says_the_indirect_object(world, pairs):
    said = eqx.filter_jit(world.model)(pairs.clean)[:, -1].argmax(axis=-1)
    assert (said == pairs.right[:, 0]).all()


def test_scores_are_what_the_weights_say(world, found):
    at = lambda name, role: float(
        found.score[found.roles.index(role)][int(name[1]), int(name[3])]
    )
    # The mover alone says IO with a logit of 5, its opponent takes half of that back,
    # and both differences are shares of the 2.5 that are left.
    direct = found.evidence["name_mover"]["direct"]
    assert float(direct[3, 0]) == pytest.approx(-2, rel=1e-4)
    assert float(direct[3, 1]) == pytest.approx(1, rel=1e-4)
    assert float(found.behaviour.mean) == pytest.approx(2.5, rel=1e-3)
    # The backup says it with 5 once another name was said.
    assert at("L4H0", "backup") == pytest.approx(2, rel=1e-4)
    assert at("L1H1", "successor") == 1
    # Without what L2H0 tells, the mover says S (-10) and the backup IO (+5).
    assert at("L2H0", "s2_inhibition") == pytest.approx(2, rel=1e-3)
    # It tells positions: whichever token repeats, the movers look at the same place.
    by_flip = found.evidence["s2_inhibition"]
    assert abs(float(by_flip["effect_token"][2, 0])) < 1e-3
    assert float(by_flip["effect_names_and_position"][2, 0]) == pytest.approx(-2, 1e-3)


def test_the_planted_model_follows_the_algorithm(found):
    ratios = found.consistency
    assert float(ratios.direct) == pytest.approx(1)
    assert float(ratios.s2_inhibition) == pytest.approx(1)
    assert float(ratios.tertiary) == pytest.approx(1)
    # 3 of 10 heads speak to the logits by their roles.
    assert float(ratios.chance[0]) == pytest.approx(0.3)


def changed(model, change):
    """The model with other attention weights, [layer, d_model, head, d_head]."""
    names = ("W_Q", "W_K", "W_V", "W_O")
    places = lambda m: [getattr(m.blocks.attn, name) for name in names]
    return eqx.tree_at(places, model, change(*places(model)))


def permuted(world):
    swap = lambda q, k, v, o: [*(x[:, :, ::-1] for x in (q, k, v)), o[:, ::-1]]
    return changed(world.model, swap), lambda name: f"{name[:3]}{1 - int(name[3])}"


def rotated(world):
    size = world.model.config.d_model
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(size, size)))[0]
    turn = jnp.asarray(rotation, jnp.float32)
    reads = lambda x: jnp.einsum("ab,la...->lb...", turn, x)
    model = changed(
        world.model, lambda q, k, v, o: [reads(q), reads(k), reads(v), o @ turn]
    )
    ends = lambda m: [m.W_E, m.W_pos, m.W_U]
    E, P, U = ends(model)
    return eqx.tree_at(ends, model, [E @ turn, P @ turn, turn.T @ U]), str


def grouped(world):
    """Both heads share a key and a value, in which each has its own half."""
    config = world.model.config
    size = config.sizes.d_head
    config = dataclasses.replace(config, n_kv_heads=1, d_head=2 * size)
    empty = jax.tree.map(jnp.zeros_like, Transformer(config, key=jr.key(0)))
    q, k, v, o = (
        np.asarray(getattr(world.model.blocks.attn, f"W_{name}")) for name in "QKVO"
    )
    wide_q, wide_o = (
        np.zeros((*q.shape[:3], 2 * size), np.float32),
        np.zeros((*o.shape[:2], 2 * size, o.shape[3]), np.float32),
    )
    for head in range(2):
        own = slice(head * size, (head + 1) * size)
        wide_q[:, :, head, own] = q[:, :, head]
        wide_o[:, head, own] = o[:, head]
    both = lambda x: x.reshape(*x.shape[:2], 1, 2 * size)
    model = eqx.tree_at(
        lambda m: [m.W_E, m.W_pos, m.W_U], empty,
        [world.model.W_E, world.model.W_pos, world.model.W_U],
    )  # fmt: skip
    arrays = map(jnp.asarray, (wide_q, both(k), both(v), wide_o))
    return changed(model, lambda *_: list(arrays)), str


@pytest.mark.parametrize("change", [permuted, rotated, grouped])
def test_roles_stay_with_the_heads(change, world, pairs):
    model, renamed = change(world)
    expected = {role: [renamed(head)] for role, head in world.players.items()}
    assert players(found_in(world, pairs, model)) == expected


def noisy(config):
    model = Transformer(config, key=jr.key(3))
    return jax.tree.map(lambda x: x + 0.05 * jnp.ones_like(x), model)


def test_a_model_that_does_not_do_the_task_is_at_chance_exactly(world, pairs):
    config = TransformerConfig(
        d_vocab=25, n_ctx=21, n_layers=2, n_heads=4, n_kv_heads=2, d_model=16,
        d_mlp=16, parallel=True, positions="rotary", norm="rms",
    )  # fmt: skip
    # Other prompts say the opposite as often: this model cannot know what is asked.
    swapped = pairs._replace(right=pairs.wrong, wrong=pairs.right)
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), pairs, swapped)
    roles = [row.name for row in circuits.ROLES if row.positions]
    found = circuits.head_roles(noisy(config), both, roles=roles, key=jr.key(1))
    assert not found.behaviour.told
    assert not found.plays.any()
    for score, chance in zip(found.score, found.chance, strict=True):
        np.testing.assert_array_equal(score, np.float32(chance))


def test_without_its_mover_the_model_has_no_mover_and_nobody_backs_it_up(world, pairs):
    gone = lambda m: m.blocks.attn.W_O
    model = eqx.tree_at(gone, world.model, gone(world.model).at[3, 0].set(0))
    found = players(found_in(world, pairs, model))
    # The backup says the name then, and is what moves it.
    assert found["name_mover"] == ["L4H0"]
    assert found["backup"] == []
    assert found["induction"] == ["L1H0"]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda p: p._replace(positions={"end": p.positions["end"]}), {},
         "about the positions IO, S1, S2 and end.*these pairs name end"),
        (lambda p: p._replace(positions=p.positions | {"S2": p.positions["IO"]}), {},
         "names A B B"),
        (lambda p: p, {"roles": ["mover"]}, "unknown role 'mover'"),
        (lambda p: p, {"roles": "induction"}, "list of names"),
        (lambda p: p, {"roles": ["successor"]}, "needs `classes`"),
        (lambda p: p, {"classes": [[3, 3, 4]]}, "no two alike"),
        (lambda p: p, {"classes": [[1, 2, 99]]}, "below 25"),
    ],
)  # fmt: skip
def test_what_roles_cannot_be_told_from_is_refused(
    world, pairs, change, options, message
):
    with pytest.raises(ValueError, match=message):
        circuits.head_roles(world.model, change(pairs), key=jr.key(0), **options)


class Words(ByteTokenizer):
    """A tokenizer that knows some words."""

    def single_token(self, text):
        words = [" one", " two", " three", " five", " Monday", " Tuesday"]
        if text not in words:
            raise ValueError(text)
        return words.index(text)


def test_a_class_ends_where_a_word_is_no_token():
    assert circuits.ordered_classes(Words()) == [[0, 1, 2]]


# Parallel blocks, grouped keys, norms behind sub-layers.
@pytest.mark.parametrize("family", ["gpt_neox", "llama", "olmo2"])
def test_families_have_scores_of_their_heads(family, world, pairs):
    spec = find(MODELS, family, kind="family")
    config = spec.build(25, 21, **spec.tiny)

    def scores():
        model = Transformer(config, key=jr.key(0))
        return circuits.head_roles(model, pairs, classes=world.classes, key=jr.key(1))

    # Traced, and not run: what a family has or lacks shows in the shapes.
    found = eqx.filter_eval_shape(scores)
    shape = (len(circuits.ROLES), config.n_layers, config.n_heads)
    assert found.score.shape == shape


def test_scores_of_any_weights_are_finite_and_within_their_bounds(world, pairs):
    spec = find(MODELS, "gemma3", kind="family")
    model = noisy(spec.build(25, 21, **spec.tiny))
    # Whoever is right is said to be, so that no role is gated by the behaviour.
    said = jnp.sign(eqx.filter_jit(LogitDifference().mean)(model, pairs))
    flip = lambda a, b: jnp.where(said > 0, a, b)
    pairs = pairs._replace(
        right=flip(pairs.right, pairs.wrong), wrong=flip(pairs.wrong, pairs.right)
    )
    found = found_in(world, pairs, model)
    assert jnp.isfinite(found.score).all()
    shares = ("previous_token", "duplicate_token", "induction", "name_mover")
    for role in (*shares, "negative_name_mover", "successor"):
        score = found.score[found.roles.index(role)]
        assert float(score.min()) >= 0
        assert float(score.max()) <= 1 + 1e-6
    # Explaining more than all of it would be an error of sign.
    assert float(found.score[found.roles.index("copy_suppression")].max()) <= 1
