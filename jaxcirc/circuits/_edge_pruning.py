"""Edge pruning: a mask over edges, learnt by gradient."""

from typing import ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jaxtyping import Array, Float, Key

from ..objectives import KLTo
from ._hard_concrete import probability_open, sampled
from ._masked import counted, masked_values
from ._method import AbstractMethod, MethodSpec, only_edges
from ._setting import Setting


class EdgePruning(AbstractMethod):
    """Gates on all edges and sources, trained until a given number of edges is open.

    The gate of an edge u → v is z_uv z_u, both hard concrete: drawn anew at each step,
    and exactly 0 or 1 with some probability. With n the expected number of open edges,
    |E| that of all and t that at which `target` are open, it minimises

        loss(masked run) + λ₁ (s - t) + λ₂ (s - t)²,    s = 1 - n / |E|, t = 1 - target
        / |E|,

    by Adam, while λ₁ and λ₂ rise along their gradients. The sparsity t grows from 0 for
    the first five sixths of the steps. All gates start open, log α = 10 (Bhaskar et al.
    2024, "Finding transformer circuits with edge pruning", whose steps and learning
    rate these are). The circuit is the `target` edges with the largest gates σ(log α),
    which are their scores, in (0, 1]; other edges have 0.

    Args:
        target: How many edges are to stay open.
        loss: `divergence` is that of the masked run's answers from the clean run's, at
            the position `end`; `objective` the squared change of the objective.
        nodes: Whether whole sources have a gate too.
        steps: Of Adam.
        learning_rate: Of all gates and of λ₁ and λ₂.
        seed: Of the gates' noise.

    Raises:
        ValueError: a number is out of range, or there is no such loss.
    """

    target: int = eqx.field(static=True, default=100)
    loss: Literal["divergence", "objective"] = eqx.field(
        static=True, default="divergence"
    )
    nodes: bool = eqx.field(static=True, default=True)
    steps: int = eqx.field(static=True, default=3000)
    learning_rate: float = eqx.field(static=True, default=0.8)
    seed: int = eqx.field(static=True, default=0)
    name: ClassVar[str] = "edge_pruning"
    adds: ClassVar[bool] = False
    signed: ClassVar[bool] = False

    def __check_init__(self):
        if self.target < 1 or self.steps < 1 or not self.learning_rate > 0:
            raise ValueError(
                "edge_pruning: `target` and `steps` must be at least 1 and "
                f"`learning_rate` positive; got {self.target}, {self.steps} and "
                f"{self.learning_rate}."
            )
        if self.loss not in ("divergence", "objective"):
            raise ValueError(
                "edge_pruning: `loss` must be 'divergence' or 'objective'; got "
                f"{self.loss!r}."
            )

    def __call__(self, setting: Setting) -> Float[Array, "source destination"]:
        """Gates of the edges that stay open.

        Args:
            setting: The question.
        """
        n_edges = setting.graph.n_edges
        if self.target > n_edges:
            raise ValueError(
                f"edge_pruning: `target` is {self.target}, and the model has {n_edges} "
                "edges."
            )
        loss = _loss(setting, self.loss)
        rate = optax.adam(self.learning_rate)
        noise = jr.key(self.seed)

        def step(carry, number):
            learnt, state = carry
            # At the end of the warm-up, five sixths of all steps, t stays.
            grown = jnp.minimum(number.astype(float) / (5 / 6 * self.steps), 1)
            aim = grown * (1 - self.target / n_edges)
            key = jr.fold_in(noise, number)
            slope = jax.grad(_lagrangian)(learnt, loss, setting, aim, key)
            # Multipliers climb where gates descend.
            slope = slope._replace(multipliers=-slope.multipliers)
            # Adam counts its steps in integers, and divides floats by their powers.
            with jax.numpy_dtype_promotion("standard"):
                updates, state = rate.update(slope, state)
            learnt = jax.tree.map(jnp.add, learnt, updates)
            return (learnt, state), None

        learnt = _started(setting, self.nodes)
        start = (learnt, rate.init(learnt))  # pyright: ignore
        (learnt, _), _ = jax.lax.scan(step, start, jnp.arange(self.steps))
        gates = only_edges(setting.graph, _gates(jax.nn.sigmoid, learnt))
        # Who asks divides by the number of examples.
        return _largest(gates, self.target) * counted(setting).sum()


def _largest(gates: Float[Array, "source destination"], n: int) -> Array:
    """The `n` largest gates, and 0 for others."""
    values, places = jax.lax.top_k(gates.ravel(), n)
    return jnp.zeros_like(gates).ravel().at[places].set(values).reshape(gates.shape)


class _Learnt(NamedTuple):
    """Parameters of gates, and the multipliers of the constraint."""

    edges: Float[Array, "source destination"]
    nodes: Float[Array, " source"] | None
    multipliers: Float[Array, " two"]


def _started(setting: Setting, nodes: bool) -> _Learnt:
    source, destination = setting.graph.exists.shape
    gates = jnp.full(source, 10.0) if nodes else None
    return _Learnt(jnp.full((source, destination), 10.0), gates, jnp.zeros(2))


def _gates(function, learnt: _Learnt) -> Float[Array, "source destination"]:
    """A function of each parameter, multiplied over an edge and its source."""
    edges = function(learnt.edges)
    return edges if learnt.nodes is None else edges * function(learnt.nodes)[:, None]


def _lagrangian(
    learnt: _Learnt, loss, setting: Setting, aim: Array, key: Key[Array, ""]
) -> Float[Array, ""]:
    """The loss of a masked run and what the distance from the aim costs."""
    edge_key, node_key = jr.split(key)
    keep = sampled(learnt.edges, edge_key)
    if learnt.nodes is not None:
        keep = keep * sampled(learnt.nodes, node_key)[:, None]
    opened = only_edges(setting.graph, _gates(probability_open, learnt)).sum()
    gap = (1 - opened / setting.graph.n_edges) - aim
    first, second = learnt.multipliers
    return loss(keep) + first * gap + second * gap**2


def _loss(setting: Setting, kind: str):
    """The loss of a mask, a mean over examples."""
    clean = jax.lax.stop_gradient(setting.model(setting.pairs.clean))
    number = counted(setting).sum()
    if kind == "divergence":
        # What the clean run says is known: the reference is not called again.
        toward = setting.replace(objective=KLTo(lambda _: clean))
        return lambda keep: masked_values(toward, keep).sum() / number
    whole = masked_values(setting, jnp.ones(setting.graph.exists.shape))
    change = lambda keep: masked_values(setting, keep) - whole
    return lambda keep: jnp.square(change(keep)).sum() / number


SPEC = MethodSpec(
    "edge_pruning",
    "a mask over edges and sources, learnt by gradient",
    EdgePruning,
    "Bhaskar et al. (2024), Finding transformer circuits with edge pruning",
    linear=False,
)
