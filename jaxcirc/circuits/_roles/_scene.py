"""What roles are told from: each thing is measured once, when a role first asks."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from ..._core import Objective, fold_name
from ...models import Graph, Transformer, graph as graph_of
from ...tasks import Pairs
from .._ablation import AbstractAblation
from .._attribute import in_chunks
from .._path_effects import PathEffects
from .._receivers import receivers_of
from ._behaviour import Behaviour, observed
from ._copying import Copying, copied
from ._flips import flips
from ._role import Role, RoleSpec
from ._told import TOLD, mean_and_error

# An effect below this share of the behaviour is no part of it, however well it is told.
LEAST_SHARE = 0.02


class Effects(NamedTuple):
    """Effects of heads as shares of the behaviour; negative where they carry it.

    Args:
        mean: The mean over pairs.
        error: Its standard error.
        attention: How much the receivers' attention from the end to named positions
            changes; None if it was not asked for.
    """

    mean: Float[Array, "layer head"]
    error: Float[Array, "layer head"]
    attention: Float[Array, "layer head name"] | None = None

    @property
    def told(self) -> Bool[Array, "layer head"]:
        """Which are told from 0, and are no trifle."""
        size = jnp.abs(self.mean)
        return (size >= LEAST_SHARE) & (size >= TOLD * self.error)


# Not a module: what it remembers lives for one trace, in which it was measured.
@dataclasses.dataclass(eq=False)
class Scene:
    """A model on some pairs, as roles see it.

    Attributes:
        model: The model.
        pairs: Pairs with named positions.
        ablation: What is put in place, fitted to the pairs.
        objective: What the behaviour is measured by.
        classes: Tokens of each ordered class, such as the days of the week.
        top: How many of the largest logits count as copying.
        n_names: Pairs whose names are looked at for copying.
        n_sequences: Random sequences for attention scores, of each length.
        periods: Lengths of the blocks that these repeat.
        batch_size: Examples at once.
        at_once: Senders that are patched at a time.
        rows: Roles by name: those that are asked for, and those that these look at.
        key: Of whatever is random.
    """

    model: Transformer
    pairs: Pairs
    ablation: AbstractAblation
    objective: Objective
    classes: Sequence[Int[Array, " item"]]
    top: int
    n_names: int
    n_sequences: int
    periods: tuple[int, ...]
    batch_size: int
    at_once: int
    rows: Mapping[str, RoleSpec]
    key: Key[Array, ""]
    _found: dict[str, Role] = dataclasses.field(default_factory=dict)

    def role(self, name: str) -> Role:
        """Scores of a role, which another role may have asked for before.

        Args:
            name: A row of `ROLES`.
        """
        if name not in self._found:
            self._found[name] = self.rows[name].find(self)
        return self._found[name]

    def players(self, name: str) -> Bool[Array, "layer head"]:
        """Which heads play a role.

        Args:
            name: A row of `ROLES`.
        """
        return self.role(name).plays(self.rows[name].threshold)

    @property
    def graph(self) -> Graph:
        """Of the model."""
        return graph_of(self.model.config)

    def draw(self, name: str) -> Key[Array, ""]:
        """A key for one purpose.

        Args:
            name: Of the purpose.
        """
        return fold_name(self.key, name)

    @functools.cached_property
    def behaviour(self) -> Behaviour:
        """The objective of the clean run, and attention from the end to the names."""
        return observed(self.model, self.pairs, self.objective, self.batch_size)

    @functools.cached_property
    def direct(self) -> Effects:
        """Effects on the logits alone."""
        return self.paths(["logits"])

    @functools.cached_property
    def copying(self) -> Copying:
        """How often heads add to the logits of names that they read, or take away."""
        return copied(self.model, self.pairs, self.n_names, self.top)

    @functools.cached_property
    def flipped(self) -> dict[str, Int[Array, "example pos"]]:
        """The clean prompts with other names, or the same in other places."""
        return flips(self.pairs, key=self.draw("flips"))

    @functools.cached_property
    def into_queries(self) -> dict[str, Effects]:
        """Effects by way of the name movers' queries at the end, for each flip."""
        queries = self.receivers(q=self.players("name_mover"))

        def of(tokens: Array) -> Effects:
            flipped = self.pairs._replace(corrupted=tokens)
            names = ("IO", "S1")
            return self.paths(queries, flipped, receivers_at="end", attention=names)

        # One after the other, or each flip would be compiled for itself.
        found = jax.lax.map(of, jnp.stack(list(self.flipped.values())))
        return {
            name: jax.tree.map(lambda x, place=place: x[place], found)
            for place, name in enumerate(self.flipped)
        }

    def receivers(
        self,
        *,
        q: Bool[Array, "layer head"] | None = None,
        v: Bool[Array, "layer head"] | None = None,
    ) -> Bool[Array, " destination"]:
        """Query or value inputs of some heads, as a mask over destinations.

        Args:
            q: Heads whose queries are meant.
            v: Heads whose values are meant, be it with others of their group.
        """
        c = self.model.config
        n_kv = c.sizes.n_kv_heads
        none = jnp.zeros((c.n_layers, c.n_heads), bool)
        q, v = (none if x is None else x for x in (q, v))
        # A group has one value input, which all of its heads read.
        groups = v.reshape(c.n_layers, n_kv, -1).any(axis=-1)
        keys = jnp.zeros_like(groups)
        mlp = jnp.zeros((c.n_layers, int(bool(c.sizes.d_mlp))), bool)
        layers = jnp.concatenate([q, keys, groups, mlp], axis=1)
        return jnp.append(layers.reshape(-1), False)

    def paths(
        self,
        receivers: Sequence[str] | Bool[Array, " destination"],
        pairs: Pairs | None = None,
        **options,
    ) -> Effects:
        """Effects of all heads by way of some receivers.

        Args:
            receivers: As for `path_patch`.
            pairs: Other pairs than the scene's.
            **options: Of `PathEffects`.
        """
        pairs = self.pairs if pairs is None else pairs
        chosen = receivers_of(self.model.config, receivers)
        effects = PathEffects(chosen, at_once=self.at_once, **options)
        values, counts = in_chunks(
            self.model, pairs, effects, self.ablation, self.objective, self.graph, None,
            0, True, self.batch_size,
        )  # fmt: skip
        heads = self._of_heads(values, behind=int(bool(effects.attention)))
        mean, error = mean_and_error(heads, counts)
        if not effects.attention:
            return Effects(*self._shares(mean, error))
        first = self._shares(mean[..., 0], error[..., 0])
        return Effects(*first, mean[..., 1:])

    def _of_heads(self, values: Array, behind: int) -> Array:
        """Effects of heads among those of all sources, [example, layer, head, ...]."""
        c = self.model.config
        axis = values.ndim - 1 - behind
        # The first source is the embedding; a layer's MLP stands behind its heads.
        layers = jnp.moveaxis(values, axis, 1)[:, 1:]
        rest = layers.shape[2:]
        layers = layers.reshape(len(values), c.n_layers, -1, *rest)
        return layers[:, :, : c.n_heads]

    def _shares(self, mean: Array, error: Array) -> tuple[Array, Array]:
        """Effects by the size of the behaviour, and nothing where there is none."""
        whole = self.behaviour.mean
        # Divided by infinity, effects on a behaviour that is not there are 0.
        whole = jnp.where(self.behaviour.told, whole, jnp.inf).astype(mean.dtype)
        return mean / whole, error / whole
