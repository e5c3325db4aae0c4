"""The loop of any state: closed forms, members over devices, exact resumption."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc.checkpoints import load_tensors, save_tensors
from jaxcirc.training import Loop, calls
from jaxcirc.training._loop import CALL_STEPS

X = jr.normal(jr.key(0), (12, 3))
Y = X @ jnp.array([1.0, -2.0, 0.5]) + 0.1 * jr.normal(jr.key(1), (12,))
RATE = 0.1


def descend(state, data):
    """Linear regression by gradient descent, with a count and a running mean."""
    x, y = data

    def loss(w):
        return jnp.square(x @ w - y).mean() / 2

    value, gradient = jax.value_and_grad(loss)(state["w"])
    w = state["w"] - RATE * gradient
    mean = 0.9 * state["mean"] + 0.1 * value
    return {"w": w, "mean": mean, "step": state["step"] + 1}, value


def start(*lead):
    # Members start apart from each other.
    count = int(np.prod(lead, initial=1))
    w = jnp.arange(count * 3, dtype=jnp.float32).reshape(*lead, 3)
    return {"w": w, "mean": jnp.zeros(lead), "step": jnp.zeros(lead, int)}


def closed_form(w, steps):
    """w_t = w* + (1 - rate H)^t (w_0 - w*), H = X^T X / n."""
    x, y = np.asarray(X, np.float64), np.asarray(Y, np.float64)
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    shrunk = (1 - RATE * values) ** steps
    return best + vectors @ (shrunk * (vectors.T @ (np.float64(w) - best)))


def test_gradient_descent_of_linear_regression_is_its_closed_form():
    state, losses = Loop(descend)(start(), 40, (X, Y))
    assert (losses.shape, int(state["step"])) == ((CALL_STEPS,), 40)
    np.testing.assert_allclose(
        state["w"], closed_form(start()["w"], 40), rtol=1e-4, atol=1e-5
    )
    before = [closed_form(start()["w"], t) for t in (0, 39)]
    expected = [np.square(X @ w - Y).mean() / 2 for w in before]
    np.testing.assert_allclose(losses[jnp.array([0, 39])], expected, rtol=1e-4)
    assert not losses[40:].any()


# Four host devices: four and eight members are sharded, three are not.
@pytest.mark.parametrize("members", [3, 4, 8])
def test_members_over_devices_are_each_alone(members):
    state, losses = Loop(descend, members)(start(members), 20, (X, Y))
    assert losses.shape == (members, CALL_STEPS)
    devices = len(state["w"].sharding.device_set)
    assert devices == (jax.device_count() if members % jax.device_count() == 0 else 1)
    for i in range(members):
        expected = closed_form(start(members)["w"][i], 20)
        np.testing.assert_allclose(state["w"][i], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("members", [None, 4])
def test_a_stop_and_a_file_in_between_change_no_bit(tmp_path, members):
    lead = () if members is None else (members,)
    loop, data = Loop(descend, members), (X, Y)
    whole = list(calls(loop, start(*lead), (30,), shared=data))
    (*_, half) = calls(loop, start(*lead), (13,), shared=data)
    path = str(tmp_path / "state.safetensors")
    save_tensors(path, half.state)
    loaded = load_tensors(path, start(*lead))
    rest = list(calls(loop, loaded, (13, 30), step=half.step, shared=data))
    assert (whole[-1].step, rest[-1].step) == (30, 30)
    for name, leaf in whole[-1].state.items():
        np.testing.assert_array_equal(leaf, rest[-1].state[name])
    tail = np.concatenate([c.losses for c in rest], axis=-1)
    every = np.concatenate([c.losses for c in whole], axis=-1)
    np.testing.assert_array_equal(every[..., 13:], tail)


def test_calls_end_at_every_stop():
    steps = [c.step for c in calls(Loop(descend), start(), (2, 7, 7, 9), shared=(X, Y))]
    assert {2, 7, 9} <= set(steps)
    assert steps == sorted(set(steps))


def test_one_trace_serves_calls_of_every_length():
    traces = []

    def update(state, shared):
        traces.append(1)
        return state + shared, state

    loop = Loop(update)
    state, _ = loop(jnp.array(0.0), 2, jnp.array(1.0))
    first = len(traces)
    for n in (1, 5):
        state, _ = loop(state, n, jnp.array(1.0))
    assert len(traces) == first
    assert float(state) == 8


def test_a_member_whose_loss_is_not_finite_stops_and_the_others_go_on():
    def update(state, limit):
        loss = jnp.where(state < limit, state, jnp.inf)
        return state + 1, loss

    first = np.array([0.0, 3.0, 2.0], np.float32)
    state, losses = Loop(update, 3)(jnp.array(first), 4, jnp.array(4.0))
    assert state.tolist() == [4, 5, 5]
    expected = [[0, 1, 2, 3], [3, np.inf, 0, 0], [2, 3, np.inf, 0]]
    assert losses[:, :4].tolist() == expected
    found = list(calls(Loop(update, 3), jnp.array(first), (10,), shared=jnp.array(4.0)))
    assert found[-1].diverged == (1, 1)
    assert all(c.diverged is None for c in found[:-1])


def test_states_and_data_may_hold_what_is_no_array():
    def update(state, shared):
        name, w = state
        return (name, shared["fn"](w)), w.sum()

    state, losses = Loop(update)(("kept", jnp.ones(2)), 3, {"fn": jnp.negative})
    assert state[0] == "kept"
    assert state[1].tolist() == [-1, -1]
    assert losses[:3].tolist() == [2, -2, 2]


def test_memory_counts_state_and_data():
    small, large = ((X[:n], Y[:n]) for n in (6, 12))
    shapes = jax.eval_shape(start)
    counted = [Loop(descend).memory(shapes, data) for data in (small, large)]
    assert counted[1] > counted[0] >= sum(x.nbytes for x in small)
