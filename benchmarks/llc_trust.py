"""Which estimates may be believed? Statuses and intervals beside known answers.

    python benchmarks/llc_trust.py            # all, twenty minutes on one core
    python benchmarks/llc_trust.py --quick    # the two shorter lengths

Every estimate is of a loss whose finite value at this n_beta and gamma is known:
exactly, by quadrature, or from sixteen long HMC chains. Steps go from a thousandth of
what is stable to beyond it. The limits in `jaxcirc.llc._checks` were set with the
families called `tuning`, at the two middle lengths; the table in docs/llc.md is of the
others. It prints one line for each family and sampler, then two rates for each group:

- false: of those called `converged`, off by more than 10% and by more than three
  errors of their own interval;
- found: of right ones with enough draws (the value within 10%, its standard error below
  5% of the truth), called `converged`.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from _harness import report
from jax.flatten_util import ravel_pytree

from jaxcirc import llc
from jaxcirc.llc import conformance

ONE = jnp.zeros(1)
# ε (n_beta h_max + gamma), which is stable below 4 for Langevin steps.
STIFFNESS = (1e-3, 0.03, 0.3, 1.0, 2.5, 8.0)
CHAINS = 4


class Length(NamedTuple):
    """Gradients of a chain: half of them are burn-in."""

    draws: int
    steps: int


LENGTHS = (Length(300, 1), Length(500, 2), Length(500, 8), Length(1000, 8))


class Problems(NamedTuple):
    """Losses of one shape with known answers, which run as one program."""

    name: str
    tuning: bool
    loss_fn: Callable[..., Any]
    params: Any
    data: Any
    truths: Sequence[float]
    n_beta: float
    gamma: float
    # The largest n_beta h + gamma, which says what step sizes are stable.
    stiffness: float
    mask: Any = None
    batch_size: int | None = None


def curved(p, x):
    """½ Σ h (w - c)²: away from c, w* is no minimum."""
    return (p["h"] * (p["w"] - p["c"]) ** 2).sum() / 2 + 0 * x


def quadratics(rng, name, tuning, *, d, flat=0, t, shift=0.0, cases=4):
    h = np.exp(rng.uniform(np.log(1e-3), 0, (cases, d)))
    h[:, 0] = 1
    h[:, d - flat :] = 0
    # Shifts of a typical size of the posterior, and of that share of it.
    c = shift * rng.normal(size=h.shape) / np.sqrt(t * h + 1)
    params = {"w": np.zeros_like(h), "h": h, "c": c}
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)
    truths = [llc.truth.quadratic(x, n_beta=t, gamma=1.0) for x in h]
    mask = {"w": True, "h": False, "c": False}
    return Problems(
        name, tuning, curved, params, ONE, truths, t, 1.0, t + 1.0, mask=mask
    )


def crossings(name, tuning, powers, t):
    def loss(p, x):
        # Powers as products: a traced exponent has no second derivative at 0.
        square, k = p["w"] ** 2, p["k"]
        factors = [jnp.where(k > i, square, 1) for i in range(max(map(max, powers)))]
        return jnp.prod(jnp.stack(factors)) + 0 * x

    params = {
        "w": jnp.zeros((len(powers), len(powers[0]))),
        "k": jnp.asarray(powers, jnp.int32),
    }
    truths = [llc.truth.normal_crossing_at(k, n_beta=t) for k in powers]
    # The curvature along an arm at distance 1, two standard deviations being rarer.
    return Problems(name, tuning, loss, params, ONE, truths, t, 1.0, 2 * t + 1.0)


def long_run(problems: Problems, seed: int) -> Problems:
    """The same problems with what sixteen long HMC chains find."""
    cases = jax.tree.leaves(problems.params)[0].shape[0]
    found = llc.sweep(
        problems.loss_fn,
        problems.params,
        problems.data,
        llc.HMC(problems.stiffness**-0.5, n_beta=problems.n_beta, gamma=problems.gamma),
        steps=range(cases),
        masks=None if problems.mask is None else {"w": problems.mask},
        num_chains=16,
        num_draws=1500,
        num_burnin=500,
        strategy="vmap",
        key=jr.key(seed),
    )
    errors = (found.standard_errors / found.values).ravel()
    report("truth", family=problems.name, largest_error=round(float(errors.max()), 4))
    return problems._replace(truths=found.values.ravel().tolist())


def networks(name, tuning, widths, ranks, *, t, gamma):
    """Deep linear networks, with their population loss."""
    families = [conformance.deep_linear(widths, r, seed=i) for i, r in enumerate(ranks)]
    layers = [
        jnp.concatenate(x) for x in zip(*(f.params for f in families), strict=True)
    ]
    targets = []
    for case in zip(*layers, strict=True):
        product = case[0]
        for layer in case[1:]:
            product = layer @ product
        targets.append(product)
    params = {"w": layers, "target": jnp.stack(targets)}

    def loss(p, x):
        product = p["w"][0]
        for layer in p["w"][1:]:
            product = layer @ product
        return ((product - p["target"]) ** 2).sum() / 2 + 0 * x

    mask = {"w": [True] * len(layers), "target": False}
    stiffness = t * (len(layers) * 1.3 ** (2 * len(layers) - 2)) + gamma
    made = Problems(name, tuning, loss, params, ONE, (), t, gamma, stiffness, mask=mask)
    return long_run(made, 1)


def regressions(rng, name, tuning, *, n, d, batch_size, shift=0.0, cases=4):
    """Linear regression at its least squares, of weights with the data's own units."""
    x = rng.normal(size=(n, d)) * np.exp(rng.uniform(-1.5, 0, d))
    x[:, 0] = rng.normal(size=n)
    y = x @ rng.normal(size=d)[:, None] + rng.normal(size=(n, cases))
    w = np.linalg.lstsq(x, y, rcond=None)[0].T
    h = np.linalg.eigvalsh(x.T @ x / n)
    t = n / np.log(n)
    w = w + shift * rng.normal(size=w.shape) / np.sqrt(t)

    def loss(p, batch):
        x, y = batch
        return (x @ p["w"] - y[:, p["case"]]) ** 2 / 2

    params = {"w": jnp.asarray(w, jnp.float32), "case": jnp.arange(cases)}
    data = (jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))
    truth = llc.truth.quadratic(h, n_beta=t, gamma=1.0)
    return Problems(
        name,
        tuning,
        loss,
        params,
        data,
        [truth] * cases,
        t,
        1.0,
        t * float(h.max()) + 1,
        batch_size=batch_size,
    )


def relu_networks(rng, name, tuning, *, hidden, t, cases=4):
    """Small ReLU networks at weights that fit their data exactly."""
    a = rng.normal(size=(cases, 2, hidden))
    b, c = rng.normal(size=(2, cases, hidden)) * 0.5
    # The last unit is not used, so that each network is degenerate.
    c[:, -1] = 0
    x = rng.normal(size=(64, 2))

    def out(p, x):
        return jax.nn.relu(x @ p["a"] + p["b"]) @ p["c"]

    params = jax.tree.map(
        lambda z: jnp.asarray(z, jnp.float32), {"a": a, "b": b, "c": c}
    )
    x = jnp.asarray(x, jnp.float32)
    y = jax.vmap(lambda p: out(p, x), out_axes=1)(params)
    params = {"w": params, "case": jnp.arange(cases)}

    def loss(p, batch):
        x, y = batch
        return (out(p["w"], x) - y[:, p["case"]]) ** 2 / 2

    mean = lambda w, i: loss({"w": w, "case": i}, (x, y)).mean()  # noqa: E731
    flat = [
        ravel_pytree(jax.tree.map(lambda z, i=i: z[i], params["w"]))
        for i in range(cases)
    ]
    stiffest = max(
        float(
            jnp.linalg.eigvalsh(
                jax.hessian(lambda v, i=i, back=back: mean(back(v), i))(v)
            )[-1]
        )
        for i, (v, back) in enumerate(flat)
    )
    made = Problems(name, tuning, loss, params, (x, y), (), t, 1.0, t * stiffest + 1)
    return long_run(made, 2)


def logistic(rng, name, tuning, *, n, d, batch_size, t, cases=4):
    """Logistic regression at its best weights, which no quadratic describes."""
    x = jnp.asarray(rng.normal(size=(n, d)) * np.exp(rng.uniform(-1.5, 0, d)))
    x = x.astype(jnp.float32)
    p = jax.nn.sigmoid(x @ (2 * rng.normal(size=(d, cases))).astype(np.float32))
    y = jnp.asarray(rng.uniform(size=p.shape) < p, jnp.float32)

    def losses(w, x, y):
        return jax.nn.softplus(x @ w) - y * (x @ w)

    def best(w, y):
        def newton(w, _):
            gradient, hessian = jax.grad(mean), jax.hessian(mean)
            return w - jnp.linalg.solve(hessian(w), gradient(w)), None

        mean = lambda w: losses(w, x, y).mean()  # noqa: E731
        w = jax.lax.scan(newton, w, length=20)[0]
        return w, jnp.linalg.eigvalsh(jax.hessian(mean)(w))[-1]

    w, stiffest = jax.vmap(best)(jnp.zeros((cases, d)), y.T)

    def loss(p, batch):
        x, y = batch
        return losses(p["w"], x, y[:, p["case"]])

    params = {"w": w, "case": jnp.arange(cases)}
    stiffness = t * float(stiffest.max()) + 1
    made = Problems(name, tuning, loss, params, (x, y), (), t, 1.0, stiffness)
    return long_run(made, 3)._replace(batch_size=batch_size)


def narrow(x):
    return x.astype(jnp.bfloat16) if x.dtype == jnp.float32 else x


def tuning_families() -> Iterator[Problems]:
    """Those that the limits were set with."""
    rng = np.random.default_rng(0)
    yield quadratics(rng, "quadratic", True, d=12, t=200.0)
    yield quadratics(rng, "quadratic, w* moved", True, d=12, t=200.0, shift=0.7)
    pairs = ((0, 1), (1, 1), (1, 2), (2, 2))
    yield crossings("crossing of two", True, pairs, 579.06)
    three = {"t": 300.0, "gamma": 1.0}
    yield networks("reduced rank", True, (3, 2, 3), (0, 1, 2), **three)
    yield quadratics(rng, "quadratic, mostly flat", True, d=40, flat=30, t=1000.0)
    triples = ((1, 1, 1), (0, 1, 2), (1, 1, 2), (2, 2, 2))
    yield crossings("crossing of three", True, triples, 200.0)
    batches = {"n": 256, "d": 6, "batch_size": 32}
    yield regressions(rng, "regression", True, **batches)
    yield regressions(rng, "regression, w* moved", True, shift=0.7, **batches)
    yield networks("deep linear, 3 layers", True, (3, 3, 3, 3), (0, 1, 2), **three)


def reported_families() -> Iterator[Problems]:
    """Those that no limit was set with."""
    rng = np.random.default_rng(1)
    three = {"t": 300.0, "gamma": 1.0}
    relu = relu_networks(rng, "ReLU network", False, hidden=4, t=500.0)
    yield relu
    half = jax.tree.map(narrow, relu.params)
    yield relu._replace(name="ReLU network in bfloat16", params=half)
    yield logistic(rng, "logistic regression", False, n=500, d=8, batch_size=64, t=80.0)
    fours = ((0, 0, 1, 1), (1, 1, 1, 1), (0, 1, 1, 2), (1, 2, 2, 3))
    yield crossings("crossing of four", False, fours, 1000.0)
    yield networks("deep linear, 4 layers", False, (4, 3, 4, 3, 4), (0, 1, 2), **three)
    yield quadratics(rng, "quadratic of 100", False, d=100, flat=20, t=3000.0)
    yield quadratics(rng, "the same, w* moved", False, d=100, t=3000.0, shift=0.5)


def families(only: str | None) -> Iterator[Problems]:
    if only != "reported":
        yield from tuning_families()
    if only != "tuning":
        yield from reported_families()


def samplers(problems: Problems) -> Iterator[tuple[llc.AbstractSampler, list[float]]]:
    """Every sampler with its step sizes."""
    t, gamma, stiff = problems.n_beta, problems.gamma, problems.stiffness
    steps = [c / stiff for c in STIFFNESS]
    times = [step**0.5 for step in steps]
    options = {"n_beta": t, "gamma": gamma}
    yield llc.SGLD(steps[0], **options), steps
    # Its preconditioner is about 1 / (rms gradient + floor), with one of √(h / t).
    scale = (stiff / t / t) ** 0.5 + 0.1
    yield llc.RMSpropSGLD(steps[0], **options), [scale * s for s in steps]
    yield llc.SGHMC(times[0], **options), times
    yield llc.MALA(steps[0], **options), steps
    yield llc.HMC(times[0], num_leapfrog=10, target=None, **options), times


class Row(NamedTuple):
    """An estimate beside its truth."""

    problems: Problems
    sampler: str
    length: Length
    stiffness: float
    truth: float
    found: llc.LLCEstimate

    @property
    def off(self) -> bool:
        """Whether the value without heating is off by more than a tenth."""
        return not abs(self.found.corrected - self.truth) <= 0.1 * self.truth

    @property
    def false(self) -> bool:
        """Whether it is off by three errors of its interval as well."""
        low, high = self.found.interval(3.0)
        return self.off and not low <= self.truth <= high

    @property
    def right(self) -> bool:
        """Whether the value is within a tenth, and has the draws to say so."""
        near = abs(self.found.value - self.truth) <= 0.1 * self.truth
        return near and self.found.standard_error <= 0.05 * self.truth

    @property
    def converged(self) -> bool:
        return self.found.status is llc.Status.CONVERGED


def rows(problems: Problems, lengths: Sequence[Length]) -> Iterator[Row]:
    cases = jax.tree.leaves(problems.params)[0].shape[0]
    for sampler, step_sizes in samplers(problems):
        per_step = sampler.gradients_per_step
        for length in lengths:
            steps = max(length.steps // per_step, 1)
            draws = length.draws * length.steps // (per_step * steps)
            found = llc.sweep(
                problems.loss_fn,
                problems.params,
                problems.data,
                sampler,
                steps=range(cases),
                grid={"step_size": step_sizes},
                masks=None if problems.mask is None else {"w": problems.mask},
                batch_size=None if sampler.full_batch else problems.batch_size,
                num_chains=CHAINS,
                num_draws=draws,
                num_burnin=draws * steps,
                steps_between_draws=steps,
                strategy="vmap",
                key=jr.key(7),
            )
            name = type(sampler).__name__
            for i, truth in enumerate(problems.truths):
                for c, one in zip(STIFFNESS, found.estimates[i].ravel(), strict=True):
                    yield Row(problems, name, length, c, truth, one)


def rates(some: Sequence[Row]) -> dict[str, float | int]:
    """How often statuses are false, and how often right values are found."""
    converged = [r for r in some if r.converged]
    right = [r for r in some if r.right]
    return {
        "estimates": len(some),
        "converged": len(converged),
        "false": round(float(np.mean([r.false for r in converged] or [0])), 3),
        "right": len(right),
        "found": round(float(np.mean([r.converged for r in right] or [1])), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="two lengths of four")
    parser.add_argument("--only", choices=("tuning", "reported"))
    options = parser.parse_args()
    lengths = LENGTHS[1:3] if options.quick else LENGTHS
    everything: list[Row] = []
    for problems in families(options.only):
        began = time.perf_counter()
        here = list(rows(problems, lengths))
        everything += here
        for name in dict.fromkeys(r.sampler for r in here):
            own = [r for r in here if r.sampler == name]
            report("llc_trust", family=problems.name, sampler=name, **rates(own))
        report("time", family=problems.name, s=round(time.perf_counter() - began, 1))
    for tuning in (True, False):
        group = [r for r in everything if r.problems.tuning == tuning]
        if group:
            report(
                "llc_trust", group="tuning" if tuning else "reported", **rates(group)
            )


if __name__ == "__main__":
    main()
