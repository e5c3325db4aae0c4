"""Roles over a made-up training run whose heads come in, and hand over, when told."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import xarray as xr

from jaxcirc import circuits
from jaxcirc.report import findings
from jaxcirc.report._sections.head_roles import parts_of
from jaxcirc.study import MEASUREMENTS, Snapshot
from jaxcirc.tasks import AbstractTask, Induction

STEPS = tuple(range(0, 70, 10))
# The mover leaves at step 50, when the head that was its backup takes over.
ONSETS = {"L1H0": 10, "L2H0": 20, "L3H0": 30, "L4H0": 30, "L1H1": 40}
LEAVES = 50


class ByHand(AbstractTask):
    """As much of a task as the measurement asks for."""

    world: circuits.RolesByHand
    d_vocab: int = eqx.field(static=True, default=25)
    n_ctx: int = eqx.field(static=True, default=21)

    def pairs(self, n, *, split="train", key):
        del split
        return self.world.pairs(n, key=key)

    def sample(self, n, *, split="train", key):
        raise NotImplementedError

    corrupt = decode = describe = sample


def row(**options):
    spec = next(spec for spec in MEASUREMENTS if spec.name == "head_roles")
    return spec.build(n_pairs=8, n_sequences=4, top=1, **options)


@pytest.fixture(scope="module")
def results():
    world = circuits.roles_by_hand()
    run = circuits.planted(world.model, ONSETS, STEPS, noise=1e-4, key=jr.key(0))
    task, measure = ByHand(world), row()
    no = jnp.array(False)

    @eqx.filter_jit
    def cell(model, step):
        shot = Snapshot(step, model, model, no)
        return measure(shot, task, key=jr.key(1))

    out = lambda m: m.blocks.attn.W_O
    cells = []
    for step in STEPS:
        model = run.at(step)
        if step >= LEAVES:
            model = eqx.tree_at(out, model, out(model).at[3, 0].set(0))
        cells.append(jax.device_get(cell(model, jnp.asarray(step)).quantities))
    made = {
        name: (
            ("step", "seed", *one.dims),
            jnp.stack([c[name].values for c in cells])[:, None],
            one.attributes(),
        )
        for name, one in cells[0].items()
    }
    coords = {"step": list(STEPS), "seed": [0]}
    coords |= measure.coords(world.model.config, task, key=jr.key(1))
    about = {"measurement": "head_roles", "id": "head_roles"}
    return xr.Dataset(made, coords, about)


def test_roles_begin_are_handed_over_and_end_when_they_were_planted(results):
    parts = parts_of(results)
    times = {}
    for part in parts:
        times.setdefault(part.role, []).append(
            (part.head, part.time.begin, part.time.after)
        )
    assert times == {
        "previous_token": [("L0H0", 0, None)],
        "duplicate_token": [("L0H1", 0, None)],
        # Attention to the right place is there before anything is written.
        "induction": [("L1H0", 0, None)],
        # There is nobody to keep from S before the mover is there.
        "s2_inhibition": [("L2H0", 30, None)],
        "name_mover": [("L3H0", 30, 50), ("L4H0", 50, None)],
        "negative_name_mover": [("L3H1", 30, None)],
        "backup": [("L4H0", 30, 50)],
        "copy_suppression": [("L4H1", 0, None)],
    }


def test_findings_tell_who_took_over(results):
    told = findings(xr.DataTree.from_dict({"/head_roles": results}))
    expected = (
        "Name mover: L3H0 from step 30 to 40; L4H0 from step 50 on. After L3H0 has "
        "lost it, L4H0 plays it from step 50."
    )
    assert expected in told


def test_nobody_is_a_name_mover_before_one_is_there(results):
    """From the start a head that opposes names attends to all alike: S is said twice,
    so it carries some of the answer, and copies none."""
    scores = results["name_mover"].isel(seed=0)
    chance = np.float32(scores.attrs["chance"])
    # A head that meets all conditions but copies less than chance has less than chance.
    assert (scores.sel(step=slice(0, 20)) <= chance).all()
    ahead = scores.sel(step=30) > chance
    assert np.argwhere(ahead.values).tolist() == [[3, 0]]


def test_nothing_is_said_of_a_role_where_the_model_does_not_do_the_task(results):
    """Once S2-inhibition is there, and no mover yet, the answer is the wrong one."""
    at = results.isel(seed=0).sel(step=20)
    assert at["behaviour"] < -3 * at["error"]
    for role in ("name_mover", "negative_name_mover", "s2_inhibition", "backup"):
        chance = np.float32(results[role].attrs["chance"])
        np.testing.assert_array_equal(at[role], chance)
    assert np.isnan(at["ratio_direct"])


def test_pairs_without_names_are_refused_before_anything_is_trained():
    task = Induction(n_symbols=12, n_ctx=16, shortest=3, longest=6)
    config = circuits.induction_by_hand(task).config
    with pytest.raises(ValueError, match="positions IO, S1, S2 and end"):
        row().check(config, task)
    row(roles=("induction",)).check(config, task)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"roles": ("mover",)}, "unknown role 'mover'"),
        ({"objective": "cross_entropy"}, "not one of pairs"),
        ({"n_pairs": 2}, "at least 4"),
        ({"top": 0}, "`top` must be at least 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    spec = next(spec for spec in MEASUREMENTS if spec.name == "head_roles")
    with pytest.raises(ValueError, match=message):
        spec.build(**options)
