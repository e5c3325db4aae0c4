"""Folders written here and by SAELens itself, each read by the other.

Skipped without it: `pip install torch==2.13.0 sae-lens==6.54.12`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc import saes

sae_lens = pytest.importorskip("sae_lens")

D_IN, D_SAE = 6, 16
X = np.random.default_rng(0).normal(size=(20, D_IN)).astype(np.float32)
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
SIZES = {"d_in": D_IN, "d_sae": D_SAE}
MADE = {
    "standard": saes.Standard(**SIZES),
    "gated": saes.Gated(**SIZES),
    "topk": saes.TopK(**SIZES, k=3),
    "batchtopk": saes.BatchTopK(**SIZES, k=3),
    "jumprelu": saes.JumpReLU(**SIZES, target_l0=3),
    "transcoder": saes.transcoder(**SIZES, d_out=5),
    "skip": saes.skip_transcoder(**SIZES, d_out=5),
    "jump_transcoder": saes.transcoder("jumprelu", **SIZES, d_out=5, target_l0=3),
    "jump_skip": saes.skip_transcoder("jumprelu", **SIZES, d_out=5, target_l0=3),
}
TRAINED = {
    "standard": {},
    "gated": {},
    "topk": {"k": 3},
    "batchtopk": {"k": 3},
    "matryoshka_batchtopk": {"k": 3, "matryoshka_widths": [4, 16]},
    "jumprelu": {},
}


def randomised(dictionary):
    rng = np.random.default_rng(1)
    move = lambda leaf: (
        leaf + jnp.asarray(abs(rng.normal(size=leaf.shape)), leaf.dtype) / 4
        if jnp.issubdtype(leaf.dtype, jnp.floating)
        else leaf
    )
    return jax.tree.map(move, dictionary)


@pytest.mark.parametrize("name", MADE)
def test_what_is_written_here_encodes_the_same_there(name, tmp_path):
    import torch

    dictionary = randomised(MADE[name].init(jax.random.key(0)))
    saes.save(dictionary, tmp_path)
    theirs = sae_lens.SAE.load_from_disk(tmp_path)
    with torch.no_grad():
        f = theirs.encode(torch.tensor(X)).numpy()
        out = theirs(torch.tensor(X)).numpy()
    ours = saes.unit_rows(dictionary) if name == "batchtopk" else dictionary
    np.testing.assert_allclose(ours.encode(jnp.asarray(X)), f, **CLOSE)
    np.testing.assert_allclose(dictionary(jnp.asarray(X)), out, **CLOSE)


@pytest.mark.parametrize("form", ["training", "inference"])
@pytest.mark.parametrize("name", TRAINED)
def test_what_is_written_there_encodes_the_same_here(name, form, tmp_path):
    import torch
    from sae_lens.registry import get_sae_training_class

    make, config = get_sae_training_class(name)
    theirs = make(config(d_in=D_IN, d_sae=D_SAE, **TRAINED[name]))
    torch.manual_seed(0)
    for parameter in theirs.parameters():
        parameter.data = parameter.data + torch.rand_like(parameter) / 4
    if "batchtopk" in name:
        theirs.topk_threshold = torch.tensor(0.3, dtype=torch.double)
    theirs.save_inference_model(tmp_path / "inference")
    theirs.save_model(tmp_path / "training")
    used = sae_lens.SAE.load_from_disk(tmp_path / "inference")
    dictionary = saes.load(tmp_path / form)
    with torch.no_grad():
        out = used(torch.tensor(X)).numpy()
    np.testing.assert_allclose(dictionary(jnp.asarray(X)), out, **CLOSE)
