"""Parts that come in at known steps, and whether scores over steps find them."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import xarray as xr

from jaxcirc import circuits
from jaxcirc.study import change_table
from jaxcirc.tasks import Induction

TASK = Induction(n_symbols=7, n_ctx=10, shortest=3, longest=4)
STEPS = list(range(0, 240, 10))
# Of each copy the previous-token head first, which nothing reads until the other is in.
ONSETS = {"L0H0": 40, "L1H0": 80, "L0H1": 110, "L1H1": 160}


@pytest.fixture(scope="module")
def pairs():
    return circuits.pairs(TASK, 12, key=jr.key(1))


@pytest.fixture(scope="module")
def model():
    return circuits.induction_by_hand(TASK, copies=2)


@pytest.fixture(scope="module")
def run(model):
    return circuits.planted(model, ONSETS, STEPS, key=jr.key(2))


def names(graph, edges):
    return {name for name, e in zip(graph.names, edges[graph.exists], strict=True) if e}


def changes_of(nodes, sources):
    """Name -> checkpoints before and after each change of its series."""
    series = {name: ("step", nodes[:, i]) for i, name in enumerate(sources)}
    node = xr.Dataset(series, coords={"step": STEPS})
    table = change_table(xr.DataTree.from_dict({"circuit": node}))
    found = {}
    for row in range(table.sizes["change"]):
        name, before, after = (
            table[column].values[row] for column in ("quantity", "from_step", "to_step")
        )
        found.setdefault(str(name), []).append((int(before), int(after)))
    return found


def _loaded(trajectory):
    """The models of all steps."""
    return (model for _, model in trajectory.stream())


def copy(i):
    """The edges of one copy of the circuit."""
    # Partners end with the same token, which is what the induction head looks for.
    reads = {f"embed->L0H{i}.v", f"embed->L1H{i}.v"}
    return reads | {f"L0H{i}->L1H{i}.k", f"L1H{i}->logits"}


def test_a_written_circuit_does_induction(model):
    batch = TASK.sample(200, key=jr.key(3))
    said = model(batch.tokens).argmax(axis=-1)
    assert bool(((said == batch.targets) | ~batch.mask).all())


def test_the_edges_of_every_stage_are_those_of_the_copies_that_are_whole(
    run, pairs, model
):
    graph = circuits.graph(model.config)
    found = {step: names(graph, edges) for step, edges in run.truth(pairs).items()}
    # A previous-token head alone is read by nothing that reaches the logits.
    expected = {0: set(), 40: set(), 80: copy(0), 110: copy(0), 160: copy(0) | copy(1)}
    assert found == expected


def test_change_points_of_scores_are_where_parts_begin_to_have_an_effect(
    run, pairs, model
):
    emergence = run.emergence(pairs)
    assert emergence == {"embed": 80, "L0H0": 80, "L0H1": 160, "L1H0": 80, "L1H1": 160}
    graph = circuits.graph(model.config)
    nodes = np.stack(
        [circuits.attribute(m, pairs).nodes for m in _loaded(run.trajectory)]
    )
    found = changes_of(nodes, graph.sources)
    # Both copies read the embedding, so its score changes with each of them.
    assert found.pop("embed") == [(70, 80), (150, 160)]
    assert found == {name: [(emergence[name] - 10, emergence[name])] for name in ONSETS}


def test_parts_of_a_compiled_program_are_found_where_they_are_switched_on():
    pytest.importorskip("tracr")
    import tracr_bridge as tb

    from .truth import Agreement, random_pairs

    # Two heads average one bracket each, and an MLP takes the difference.
    compiled = tb.compile(tb.programs.pair_balance(), "()a", 5, check=10)
    onsets = {"L0.mlp": 50, "L1H0": 80, "L1H1": 160}
    run = circuits.planted(compiled.model, onsets, STEPS, noise=3e-3, key=jr.key(2))
    pairs, asked = random_pairs(compiled, 16), {"objective": Agreement(compiled.model)}
    first = {"embed": 80, "L0.mlp": 80, "L1H0": 80, "L1H1": 160, "L1.mlp": 80}
    assert run.emergence(pairs, **asked) == first

    nodes = np.stack(
        [circuits.attribute(m, pairs, **asked).nodes for m in _loaded(run.trajectory)]
    )
    found = changes_of(nodes, circuits.graph(compiled.model.config).sources)
    # What both heads read and what reads both have effects with each of them.
    shared = dict.fromkeys(["embed", "L0.mlp", "L1.mlp"], [(70, 80), (150, 160)])
    assert found == {"L1H0": [(70, 80)], "L1H1": [(150, 160)], **shared}


def test_a_checkpoint_is_the_same_alone_and_among_others(run):
    alone = run.trajectory.load(110)
    among = jax.vmap(run.at)(jnp.array([40, 110]))
    for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(among), strict=True):
        np.testing.assert_allclose(a, b[1], rtol=1e-6, atol=1e-7)


def test_parts_come_in_over_a_ramp_and_the_rest_is_as_in_the_finished_model(model):
    run = circuits.planted(
        model, {"L1H1": 100}, STEPS, ramp=40, noise=0.0, key=jr.key(0)
    )
    halfway, begun = run.at(110), run.at(70)
    share = 10 / 40 + 1 / 2
    out = model.blocks.attn.W_O
    np.testing.assert_allclose(halfway.blocks.attn.W_O[1, 1], share * out[1, 1])
    assert not begun.blocks.attn.W_O[1, 1].any()
    np.testing.assert_array_equal(halfway.blocks.attn.W_O[0], out[0])
    np.testing.assert_array_equal(halfway.blocks.attn.W_Q, model.blocks.attn.W_Q)


def test_what_cannot_be_planted_is_refused(model):
    plant = lambda onsets, steps=STEPS, **options: circuits.planted(
        model, onsets, steps, key=jr.key(0), **options
    )
    with pytest.raises(ValueError, match="unknown part 'L3H0'"):
        plant({"L3H0": 40})
    with pytest.raises(ValueError, match="unknown part 'embed'"):
        plant({"embed": 40})
    with pytest.raises(ValueError, match="within the steps 0 to 230"):
        plant({"L0H0": 300})
    with pytest.raises(ValueError, match="must ascend"):
        plant({}, [0, 10, 10])
    with pytest.raises(ValueError, match="cannot be negative"):
        plant({}, noise=-1.0)
    with pytest.raises(ValueError, match="at least one copy"):
        circuits.induction_by_hand(TASK, copies=0)
