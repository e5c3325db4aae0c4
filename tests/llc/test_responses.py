import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import llc
from jaxcirc.llc._chain import Trace
from jaxcirc.llc._result import summarize
from jaxcirc.models import Transformer, TransformerConfig, head_masks

from ..models.toys import toy

H = np.array([1.0, 0.5, 0.2])
CENTRES = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0.5, -1, 2]])
T, GAMMA = 50.0, 1.0


SCALES = np.array([1.0, 1.0, 0.5, 2.0])


def loss(w, batch):
    """Half the squared distance to each centre in the metric H, times a scale."""
    centre, scale = batch
    return scale * ((w[None] - centre) ** 2 @ jnp.asarray(H, jnp.float32)) / 2


@pytest.fixture(scope="module")
def sampled():
    a = CENTRES - CENTRES.mean(0)
    centres = jnp.asarray(a, jnp.float32)
    masks = {"all": jnp.ones(3, bool), "pair": jnp.array([True, True, False])}
    found = llc.sweep(
        loss,
        jnp.zeros(3),
        (centres, jnp.ones(4)),
        llc.HMC(0.1, n_beta=T, gamma=GAMMA, num_leapfrog=10),
        masks=masks,
        observables={
            "each": (centres, jnp.ones(4)),
            "probe": (centres, jnp.asarray(SCALES, jnp.float32)),
        },
        num_chains=16,
        num_draws=4000,
        num_burnin=200,
        key=jr.key(0),
    )
    return a, found


def exact_covariance(a, kept):
    """Of losses under w ~ N(0, S): ½ tr(H S H S) + aᵢᵀ H S H aⱼ."""
    h, s = H[kept], 1 / (T * H[kept] + GAMMA)
    return 0.5 * np.sum((h * s) ** 2) + (a[:, kept] * h * s * h) @ a[:, kept].T


def exact_mean(a, kept):
    s = np.zeros(3)
    s[kept] = 1 / (T * H[kept] + GAMMA)
    return 0.5 * np.sum(H * s) + (a**2 @ H) / 2


def test_influence_is_the_covariance_of_losses(sampled):
    a, found = sampled
    one = found.sel(mask="all")
    covariance = llc.influence(one, "each", correlation=False)
    exact = exact_covariance(a, [0, 1, 2])
    np.testing.assert_allclose(covariance, exact, atol=0.04 * np.abs(exact).max())
    correlation = llc.influence(one, "each")
    np.testing.assert_allclose(np.diag(correlation), 1, rtol=1e-6)
    assert np.abs(correlation).max() <= 1 + 1e-9
    across = llc.influence(one, "each", "probe", correlation=False)
    np.testing.assert_allclose(across, covariance * SCALES, rtol=1e-4)


def test_susceptibilities_of_a_gaussian(sampled):
    a, found = sampled
    value, error = llc.susceptibilities(
        found.sel(mask="pair"), found.sel(mask="all"), dataset="each", probes="probe"
    )
    # E_C[φ L] - E_C[φ ℓ] - E_C[φ] (E[L] - E[ℓ]), by its parts.
    own, every = exact_mean(a, [0, 1]), exact_mean(a, [0, 1, 2])
    covariance = exact_covariance(a, [0, 1])
    phi = own.mean() - ((a**2 @ H) / 2).mean()
    product = covariance.mean() + phi * own.mean()
    probe = SCALES * (covariance.mean(axis=0) + phi * own)
    exact = product - probe - phi * (every.mean() - SCALES * every)
    assert (np.abs(value - exact) < 4 * error + 1e-6).all()
    # A steeper probe than the data is told from 0.
    assert value[3] < exact[3] / 2 < -error[3]


@pytest.mark.parametrize("name", ["plain", "gqa", "no_biases"])
def test_head_masks_are_the_weights_that_an_ablated_head_uses(name):
    model = Transformer(toy(name), key=jr.key(0))
    tokens = jr.randint(jr.key(1), (2, 7), 0, model.config.d_vocab)
    masks = head_masks(model)
    c = model.config
    assert len(masks) == c.n_layers * c.n_heads
    d = c.sizes.d_head
    each = c.d_model * d * 4 + 3 * d * c.attention_bias
    for at, mask in masks.items():
        kept = jax.tree.map(
            lambda m, x: jnp.broadcast_to(m, x.shape).sum(), mask, model
        )
        assert sum(int(n) for n in jax.tree.leaves(kept)) == each, at
    # Zeroing all heads of a layer under their masks is ablating its attention.
    union = masks["L0H0"]
    for head in range(1, c.n_heads):
        union = jax.tree.map(jnp.logical_or, union, masks[f"L0H{head}"])
    zeroed = jax.tree.map(lambda x, m: jnp.where(m, 0, x), model, union)
    assert jnp.abs(zeroed.blocks.attn.W_O[0]).max() == 0
    assert jnp.abs(zeroed.blocks.attn.W_O[1]).max() > 0
    assert jnp.isfinite(zeroed(tokens)).all()


def test_head_and_path_masks_sample_what_they_say():
    config = TransformerConfig(d_vocab=11, n_ctx=4, n_layers=2, d_model=8, n_heads=2)
    model = Transformer(config, key=jr.key(0))
    tokens = jr.randint(jr.key(1), (16, 4), 0, 11)

    def loss(m, t):
        return jax.nn.logsumexp(m(t), axis=-1).mean(axis=-1)

    masks = head_masks(model)
    masks["embedding"] = llc.path_mask(model, ["W_E"])
    found = llc.sweep(
        loss,
        model,
        tokens,
        llc.SGLD(1e-4),
        masks=masks,
        observables={"W_E": lambda m: m.W_E, "W_O": lambda m: m.blocks.attn.W_O},
        num_chains=1,
        num_draws=4,
        num_burnin=0,
        key=jr.key(0),
    )
    moved = found.sel(mask="L1H0").observed["W_O"][0, -1] - model.blocks.attn.W_O
    assert np.abs(moved[1, 0]).min() > 0
    assert np.abs(moved[0]).max() == np.abs(moved[1, 1]).max() == 0
    assert found.sel(mask="embedding").dimension == 11 * 8
    assert np.ptp(found.sel(mask="L1H0").observed["W_E"], axis=(0, 1)).max() == 0
    with pytest.raises(ValueError, match="did you mean"):
        llc.path_mask(model, ["W_EE"])


def test_chains_that_all_diverged_have_no_responses():
    rows = np.full((2, 8), np.nan)
    diverged = summarize(
        Trace(*[rows] * 10, observed={"each": np.full((2, 8, 3), np.nan)}),
        n_beta=10.0,
        dimension=1,
        num_draws=8,
        initial_loss=0.0,
        trivial_loss=None,
        observed_at_center={"each": np.zeros(3)},
        gradients=16,
    )
    assert diverged.status is llc.Status.DIVERGED
    assert np.isnan(llc.influence(diverged, "each")).all()
    values, errors = llc.susceptibilities(
        diverged, diverged, dataset="each", probes="each"
    )
    assert np.isnan(values).all()
    assert np.isnan(errors).all()
