"""Losses and gradients against frozen numbers of SAELens and dictionary_learning."""

import dataclasses
import json
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc import saes

from . import sae_inputs as given

FROZEN = json.loads((pathlib.Path(__file__).parent / "saes.json").read_text())
THEIRS, LEARNT = FROZEN["saelens"], FROZEN["dictionary_learning"]
SIZES = {"d_in": given.D_IN, "d_sae": given.D_SAE}
JUMP = {
    "l0": given.L0,
    "warm_up": 0,
    "bandwidth": given.BANDWIDTH,
    "target_l0": given.TARGET,
    "pre_act": 0.0,
}
CONFIGS = {
    "standard": saes.Standard(**SIZES, l1=given.L1, warm_up=0),
    "gated": saes.Gated(**SIZES, l1=given.L1, warm_up=0, frozen=False),
    "topk": saes.TopK(**SIZES, k=given.K),
    "topk_unscaled": saes.TopK(**SIZES, k=given.K),
    "batchtopk": saes.BatchTopK(**SIZES, k=given.K),
    "matryoshka": saes.Matryoshka(**SIZES, k=given.K, widths=tuple(given.WIDTHS)),
    "jumprelu_step": saes.JumpReLU(**SIZES, **JUMP, sparsity="step"),
    "jumprelu_step_input": saes.JumpReLU(
        **SIZES, **JUMP, sparsity="step", to_input=True
    ),
    "jumprelu_tanh": saes.JumpReLU(
        **SIZES, **(JUMP | {"pre_act": 0.3}), sparsity="tanh"
    ),
    "jumprelu_quadratic": saes.JumpReLU(**SIZES, **JUMP, sparsity="quadratic"),
}
X = jnp.asarray(given.activations(), jnp.float32)
# float32 sums of a few hundred numbers in another order.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def dictionary_of(config, **changes):
    w = {name: jnp.asarray(x, jnp.float32) for name, x in given.weights().items()}
    empty = config.init(jax.random.key(0))
    kind = empty.nonlinearity
    if isinstance(kind, saes.Gate):
        kind = saes.Gate(w["b_gate"], w["b_mag"], w["r_mag"])
    if isinstance(kind, saes.Above):
        kind = saes.Above(w["threshold"])
    parts = {name: w[name] for name in given.PARAMETERS}
    if empty.b_enc is None:
        parts["b_enc"] = None
    return dataclasses.replace(empty, **parts, nonlinearity=kind, **changes)


def state():
    dead = jnp.where(jnp.asarray(given.dead()), 1e9, 0.0)
    return dataclasses.replace(saes.State.new(given.D_SAE).at(1.0), silent=dead)


def gradients_of(config, dictionary):
    loss = lambda d: config.loss(d, X, X, state())
    (value, terms), grads = eqx.filter_value_and_grad(loss, has_aux=True)(dictionary)
    parts = {name: getattr(grads, name) for name in given.PARAMETERS}
    parts |= {n: getattr(grads.nonlinearity, n) for n in vars(grads.nonlinearity)}
    return value, terms, {n: g for n, g in parts.items() if eqx.is_array(g)}


@pytest.mark.parametrize("name", CONFIGS)
def test_losses_and_gradients_are_those_of_saelens(name):
    config, theirs = CONFIGS[name], THEIRS[name]
    changes = {"scales": False} if name == "topk_unscaled" else {}
    value, terms, gradients = gradients_of(config, dictionary_of(config, **changes))
    np.testing.assert_allclose(value, theirs["loss"], rtol=1e-5)
    l0 = (np.array(theirs["f"]) > 0).sum(-1).mean()
    np.testing.assert_allclose(terms.l0, l0, rtol=1e-6)
    for parameter, gradient in theirs["gradients"].items():
        scale = np.abs(gradient).max()
        ours = gradients[parameter] / scale
        np.testing.assert_allclose(
            ours, np.array(gradient) / scale, err_msg=parameter, **CLOSE
        )


def test_a_target_for_the_batch_is_that_of_dictionary_learning():
    config, theirs = CONFIGS["jumprelu_step"], LEARNT["jumprelu_target"]
    config = dataclasses.replace(config, sparsity="target")
    value, _, gradients = gradients_of(config, dictionary_of(config, centred=False))
    np.testing.assert_allclose(value, theirs["loss"], rtol=1e-5)
    for parameter in given.PARAMETERS:
        np.testing.assert_allclose(
            gradients[parameter], theirs["gradients"][parameter], **CLOSE
        )


def test_l0_pulls_thresholds_from_before_the_jump():
    """Not from after it, as in dictionary_learning, where a latent below is at 0."""
    config = saes.JumpReLU(**SIZES, **JUMP, sparsity="step")
    dictionary = dictionary_of(config)
    pre = np.asarray(dictionary.pre(X), np.float64)
    theta = given.weights()["threshold"]
    near = np.abs(pre - theta) < given.BANDWIDTH / 2
    f = np.where(pre > theta, pre, 0)
    error = given.activations() - (
        f @ given.weights()["W_dec"] + given.weights()["b_dec"]
    )
    of_f = -2 * error @ given.weights()["W_dec"].T
    slope = np.where(near, -1 / given.BANDWIDTH, 0)
    expected = (slope * (of_f * theta + given.L0)).mean(0)
    _, _, gradients = gradients_of(config, dictionary)
    np.testing.assert_allclose(gradients["threshold"], expected, rtol=2e-5, atol=2e-5)
    # What is just below a threshold has its part in it.
    above_alone = np.where(pre > theta, slope, 0) * (of_f * theta + given.L0)
    assert (np.abs(above_alone.mean(0) - expected) > 1e-3 * abs(expected)).any()


def test_gates_with_a_fixed_decoder_are_those_of_dictionary_learning():
    """Up to what it projects out: the pull of the penalty along unit decoder rows."""
    theirs = LEARNT["gated_frozen"]
    config = saes.Gated(**SIZES, l1=given.L1, warm_up=0)
    unit = jnp.asarray(given.unit_decoder(), jnp.float32)
    dictionary = dataclasses.replace(dictionary_of(config), W_dec=unit)
    value, _, gradients = gradients_of(config, dictionary)
    np.testing.assert_allclose(value, theirs["loss"], rtol=1e-5)
    names = {
        "b_gate": "gate_bias",
        "b_mag": "mag_bias",
        "r_mag": "r_mag",
        "b_dec": "decoder_bias",
    }
    found = theirs["gradients"]
    for ours, name in names.items():
        np.testing.assert_allclose(gradients[ours], found[name], **CLOSE)
    np.testing.assert_allclose(gradients["W_enc"].T, found["encoder.weight"], **CLOSE)
    across = lambda g: (
        g - (g * given.unit_decoder()).sum(-1, keepdims=True) * (given.unit_decoder())
    )
    np.testing.assert_allclose(
        across(np.asarray(gradients["W_dec"])),
        across(np.array(found["decoder.weight"]).T),
        **CLOSE,
    )


def test_the_auxiliary_loss_does_not_write_the_bias():
    """e - z W_dec alone: the bias is in the error already."""
    config = CONFIGS["topk"]
    dictionary = dictionary_of(config)
    moved = dataclasses.replace(dictionary, b_dec=dictionary.b_dec + 3.0)
    shifted = lambda d, x: config.loss(d, x, x, state())[1].auxiliary
    # A centred dictionary with everything moved is the same dictionary.
    np.testing.assert_allclose(
        shifted(moved, X + 3.0), shifted(dictionary, X), rtol=1e-4
    )
