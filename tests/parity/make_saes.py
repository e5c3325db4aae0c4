"""Frozen losses and gradients of SAELens and dictionary_learning, for `test_saes.py`.

    pip install torch==2.13.0 && pip install sae-lens==6.54.12
    git clone https://github.com/saprmarks/dictionary_learning
    git -C dictionary_learning checkout 60ec6bf
    export PYTHONPATH=dictionary_learning
    python tests/parity/make_saes.py > tests/parity/saes.json

Their code is run as it is, in float32 and on the CPU. Inputs are those of
`sae_inputs.py`.
"""

import importlib.util
import json
import sys
import types

import sae_inputs as given
import torch
from sae_lens.registry import get_sae_training_class
from sae_lens.saes.sae import TrainStepInput

COMMON = {"d_in": given.D_IN, "d_sae": given.D_SAE, "apply_b_dec_to_input": True}
JUMP = {"jumprelu_bandwidth": given.BANDWIDTH, "l0_coefficient": given.L0}
CASES = {
    "standard": ("standard", {"l1_coefficient": given.L1}),
    "gated": ("gated", {"l1_coefficient": given.L1}),
    "topk": ("topk", {"k": given.K}),
    "topk_unscaled": ("topk", {"k": given.K, "rescale_acts_by_decoder_norm": False}),
    "batchtopk": ("batchtopk", {"k": given.K}),
    "matryoshka": (
        "matryoshka_batchtopk",
        {"k": given.K, "matryoshka_widths": given.WIDTHS},
    ),
    "jumprelu_step": ("jumprelu", JUMP | {"jumprelu_sparsity_loss_mode": "step"}),
    "jumprelu_step_input": (
        "jumprelu",
        JUMP | {"jumprelu_sparsity_loss_mode": "step", "jumprelu_ste_to_input": True},
    ),
    "jumprelu_tanh": (
        "jumprelu",
        JUMP
        | {
            "jumprelu_sparsity_loss_mode": "tanh",
            "jumprelu_tanh_scale": 4.0,
            "pre_act_loss_coefficient": 0.3,
        },
    ),
    "jumprelu_quadratic": (
        "jumprelu",
        JUMP | {"jumprelu_sparsity_loss_mode": "quadratic", "target_l0": given.TARGET},
    ),
}


def tensor(x) -> torch.Tensor:
    return torch.tensor(x, dtype=torch.float32)


def set_weights(module: torch.nn.Module) -> None:
    own = dict(module.named_parameters())
    for name, value in given.weights().items():
        if name in own:
            own[name].data = tensor(value)


def gradients(module: torch.nn.Module, loss: torch.Tensor) -> dict[str, list]:
    module.zero_grad()
    loss.backward()
    return {
        name: parameter.grad.tolist()
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }


def of_saelens(architecture: str, options: dict) -> dict:
    make, config = get_sae_training_class(architecture)
    sae = make(config(**COMMON, **options))
    set_weights(sae)
    x = tensor(given.activations())
    coefficients = {"l1": given.L1, "l0": given.L0}
    step = TrainStepInput(
        sae_in=x,
        dead_neuron_mask=torch.tensor(given.dead()),
        coefficients=coefficients,
        n_training_steps=0,
        is_logging_step=False,
    )
    out = sae.training_forward_pass(step)
    return {
        "loss": out.loss.item(),
        "parts": {name: value.item() for name, value in out.losses.items()},
        "f": out.feature_acts.detach().tolist(),
        "gradients": gradients(sae, out.loss),
    }


def of_dictionary_learning() -> dict:
    """Losses that only dictionary_learning has: a target for the batch's mean L0, and
    gates that write by a decoder which is held fixed.
    """
    # Its package imports what serves activations, which needs libraries of its own.
    found = importlib.util.find_spec("dictionary_learning")
    package = types.ModuleType("dictionary_learning")
    package.__path__ = list(found.submodule_search_locations)
    sys.modules["dictionary_learning"] = package
    from dictionary_learning.trainers.gdm import GatedSAETrainer
    from dictionary_learning.trainers.jumprelu import JumpReluTrainer

    shape = {"activation_dim": given.D_IN, "dict_size": given.D_SAE}
    rest = {"steps": 100_000, "layer": 0, "lm_name": "", "device": "cpu"}
    jump = JumpReluTrainer(
        **shape,
        **rest,
        bandwidth=given.BANDWIDTH,
        target_l0=given.TARGET,
        sparsity_penalty=given.L0,
        sparsity_warmup_steps=None,
    )
    set_weights(jump.ae)
    x = tensor(given.activations())
    gated = GatedSAETrainer(
        **shape, **rest, l1_penalty=given.L1, sparsity_warmup_steps=None
    )
    names = {
        "encoder.weight": given.weights()["W_enc"].T,
        "decoder.weight": given.unit_decoder().T,
        "decoder_bias": given.weights()["b_dec"],
        "gate_bias": given.weights()["b_gate"],
        "mag_bias": given.weights()["b_mag"],
        "r_mag": given.weights()["r_mag"],
    }
    own = dict(gated.ae.named_parameters())
    for name, value in names.items():
        own[name].data = tensor(value)
    results = {}
    for name, trainer in {"jumprelu_target": jump, "gated_frozen": gated}.items():
        loss = trainer.loss(x, step=5)
        results[name] = {
            "loss": loss.item(),
            "gradients": gradients(trainer.ae, loss),
        }
    return results


def rounded(found):
    """The same tree with as many digits as float32 has."""
    if isinstance(found, dict):
        return {key: rounded(value) for key, value in found.items()}
    if isinstance(found, list):
        return [rounded(value) for value in found]
    return float(f"{found:.9g}") if isinstance(found, float) else found


def main() -> None:
    results = {name: of_saelens(*case) for name, case in CASES.items()}
    theirs = of_dictionary_learning()
    versions = {"sae_lens": "6.54.12", "dictionary_learning": "60ec6bf"}
    whole = {"versions": versions, "saelens": results, "dictionary_learning": theirs}
    print(json.dumps(rounded(whole)))


if __name__ == "__main__":
    main()
