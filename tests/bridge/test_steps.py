"""Steps are read off the names that training scripts give."""

import pytest

from tracr_bridge.checkpoints._steps import step_of, steps_of


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("step1000", 1000),
        ("step-000100", 100),
        ("Step_100", 100),
        ("step1000-tokens4B", 1000),
        ("step1000-unsharded", 1000),
        ("stage1-step1000-tokens3B", 1000),
        ("step_10k", 10_000),
        ("step-1e3.npz", 1000),
        ("global_step_7", 7),
        ("globalstep1000", 1000),
        ("iter_0000100", 100),
        ("it100", 100),
        ("update_300", 300),
        ("checkpoint-250", 250),
        ("Checkpoint-500", 500),
        ("ckpt_042", 42),
        ("ckpt_10.pt", 10),
        ("model_20000.npz", 20_000),
        ("model-500.pt", 500),
        ("state_500.pt", 500),
        ("weights.100.pt", 100),
        # Plain numbers, as they are and as files.
        ("512", 512),
        ("100.pth", 100),
        ("000100.pt", 100),
        ("0.npz", 0),
        # An epoch is the step where nothing else is said.
        ("epoch3.pt", 3),
        ("epoch=3.ckpt", 3),
        ("checkpoint_epoch_10.pt", 10),
        ("ep10", 10),
        ("round-5", 5),
        ("epoch-1-step-500", 500),
        ("epoch1step500", 500),
        ("epoch_2_step_40.pt", 40),
        ("epoch=0-step=1000.ckpt", 1000),
        ("epoch=0-step=100-v1.ckpt", 100),
        ("model_step_100.pt", 100),
        # No step.
        ("main", None),
        ("v1.0", None),
        ("last.ckpt", None),
        ("step-last", None),
        ("checkpoint-best", None),
        ("batch_500", None),
        ("footstep7", None),
        ("step_4B", None),
        ("step_1.5k", None),
        ("pico-decoder-tiny-1", None),
        ("opt-125m", None),
        ("model-00001-of-00002.safetensors", None),
        ("step_0_optim.pt", None),
        ("optimizer_100.pt", None),
        ("rng_state_0.pth", None),
        ("step" + "9" * 30, None),
    ],
)
def test_steps_are_read_off_names(name, step):
    assert step_of(name) == step


def test_a_pattern_says_which_names_and_where_the_step_is():
    names = ["run-a-5", "run-a-7", "run-b-5", "notes"]
    assert steps_of(names, r"^run-a-(\d+)$", "here") == (
        {5: "run-a-5", 7: "run-a-7"},
        [],
    )
    assert steps_of(["step1", "notes"], None, "here") == ({1: "step1"}, ["notes"])
    with pytest.raises(ValueError, match="both are step 5. Say which"):
        steps_of(names, r"(\d+)$", "here")
    with pytest.raises(ValueError, match="takes 'a' of 'run-a-5' for the step"):
        steps_of(names, r"run-(\w)", "here")
    with pytest.raises(ValueError, match="here: `pattern`"):
        steps_of(names, "(", "here")
