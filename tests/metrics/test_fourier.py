"""Power by frequency, against waves whose power is known."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import metrics


def wave(k: int, n: int, phase: float = 0.0):
    return jnp.cos(2 * jnp.pi * k * jnp.arange(float(n)) / n + phase)


@pytest.mark.parametrize("n", [12, 13])
def test_a_wave_has_all_its_power_at_its_frequency(n):
    for k in range(1, n // 2 + 1):
        power = metrics.fourier_power(7 + wave(k, n, 0.1)[:, None])
        assert power.shape == (n // 2,)
        np.testing.assert_allclose(power, np.arange(1, n // 2 + 1) == k, atol=1e-5)


def test_powers_add_up_over_frequencies_and_columns():
    x = jnp.stack([3 * wave(2, 11), 4 * wave(5, 11)], axis=1)
    power = metrics.fourier_power(x)
    np.testing.assert_allclose(power, [0, 9 / 25, 0, 0, 16 / 25], atol=1e-5)


def test_a_random_matrix_has_the_chance_level_everywhere():
    for n in (40, 41):
        power = metrics.fourier_power(jr.normal(jr.key(0), (n, 5000)))
        expected = np.full(n // 2, 2 / (n - 1))
        # The last of an even number of rows is a cosine without sine.
        expected[-1] /= 2 if n % 2 == 0 else 1
        np.testing.assert_allclose(power, expected, rtol=0.08)
        assert float(power.sum()) == pytest.approx(1, rel=1e-5)


def test_rows_that_do_not_differ_have_no_frequency():
    assert (metrics.fourier_power(jnp.ones((5, 3))) == 0).all()
    with pytest.raises(ValueError, match="at least 3 rows; got 2"):
        metrics.fourier_power(jnp.ones((2, 3)))
