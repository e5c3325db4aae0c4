"""Lazy training: the larger a model's output is scaled, the less it leaves its tangent.

With h = α (f(w) - f(w0)) and the loss |h - y|² / 2α², gradient descent to one loss
moves the weights by 1 / α, and so the kernel and the error of the linearised model.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxcirc import taylor
from jaxcirc._core import norm

from .._wide import double_precision

SCALES = (16.0, 32.0, 64.0)


def test_distance_kernel_and_linearisation_error_fall_with_the_scale():
    with double_precision():
        draw = np.random.default_rng(0).standard_normal
        x, y = jnp.asarray(draw((12, 5))), jnp.asarray(draw(12))
        start = [jnp.asarray(draw((5, 40)) / 5**0.5), jnp.asarray(draw(40) / 40**0.5)]
        net = lambda w: jnp.tanh(x @ w[0]) @ w[1]

        @jax.jit
        def trained(alpha):
            def missed(w):
                return alpha * (net(w) - net(start)) - y

            loss = lambda w: jnp.square(missed(w)).sum() / (2 * alpha**2)

            def step(w):
                return jax.tree.map(lambda p, g: p - 0.02 * g, w, jax.grad(loss)(w))

            # To one loss, a tenth of the first: whatever the scale, a like distance.
            goal = 0.1 * jnp.square(y).sum()
            return jax.lax.while_loop(
                lambda w: jnp.square(missed(w)).sum() > goal, step, start
            )

        @jax.jit
        def kernel(w):
            J = jax.tree.leaves(jax.jacobian(net)(w))
            J = jnp.concatenate([j.reshape(12, -1) for j in J], axis=1)
            return J @ J.T

        moved, kernels, errors = [], [], []
        for alpha in SCALES:
            end = trained(jnp.asarray(alpha))
            moved.append(float(norm(jax.tree.map(jnp.subtract, end, start))))
            change = jnp.linalg.norm(kernel(end) - kernel(start))
            kernels.append(float(change / jnp.linalg.norm(kernel(start))))
            linear = taylor.tangent(net, start)(end)
            whole = jnp.linalg.norm(net(end) - net(start))
            errors.append(float(jnp.linalg.norm(net(end) - linear) / whole))
        for series in (moved, kernels, errors):
            exponent = np.log2(series[-1] / series[-2])
            assert abs(exponent + 1) < 0.05, series
