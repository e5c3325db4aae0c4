"""Dictionaries of activations at every checkpoint, each begun from the one before."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ... import saes
from ..._core import find, fold_name
from ...models import (
    Transformer,
    TransformerConfig,
    capture,
    resolve_site,
    sites as site_table,
)
from ...tasks import AbstractTask
from ._measurement import AlongRun, MeasurementSpec, Snapshot
from ._quantity import Failure, Outcome, Quantity

# What is told of the end of a training is a mean over this share of its steps.
_END = 0.1
# Points of a course: more than a curve on the page can show apart are of no use.
_POINTS = 40


class AtSite(eqx.Module):
    """The dictionaries of one checkpoint: what the row leaves for others.

    Args:
        dictionary: They take raw activations; arrays have axes layer and twin.
        density: Share of the test tokens on which each latent fires.
        step: The checkpoint.
        site: What they read.
        layers: In which layers; None for a site that is in none.
    """

    dictionary: saes.Dictionary
    density: Float[Array, "*lead layer twin latent"]
    step: Int[Array, "..."]
    site: str = eqx.field(static=True)
    layers: tuple[int, ...] | None = eqx.field(static=True)

    def of(self, **index: int | slice) -> saes.Dictionary:
        """The dictionary at a layer and a twin, or several.

        Args:
            index: `layer` and `twin`; those left out stay.
        """
        at = (index.get("layer", slice(None)), index.get("twin", slice(None)))
        return jax.tree.map(lambda x: x[at], self.dictionary)


class Dictionaries(AlongRun):
    """Dictionaries at some layers of a site, trained anew at every checkpoint.

    Those of a checkpoint begin as those of the one before, so that latents keep their
    index, and are trained on the same examples in the same order. Twins differ in the
    directions that they began with at the first checkpoint alone: what the second one
    lacks is a matter of chance and not of the model.
    """

    site: str = eqx.field(static=True)
    layers: tuple[int, ...] = eqx.field(static=True)
    architecture: str = eqx.field(static=True)
    options: tuple[tuple[str, Any], ...] = eqx.field(static=True)
    training: saes.Training
    n_examples: int = eqx.field(static=True)

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse a site, a layer or an option that does not fit, before any work.

        Args:
            config: The config of the study's models.
            task: The study's task.

        Raises:
            ValueError: what does not fit, and what would.
        """
        del task
        self._config(config)

    def artefacts(self, config: TransformerConfig) -> dict[str, AtSite]:
        """Shapes of the dictionaries, which other rows get as they are here.

        Args:
            config: The config of the study's models.
        """
        made, names = self._config(config), self._places(config)
        shapes = saes.trained_shapes(made, len(names), self.training)
        lead = (len(names), self.training.seeds)

        def left(dictionary: saes.Dictionary) -> AtSite:
            density, step = jnp.zeros((*lead, made.d_sae)), jnp.zeros((), jnp.int32)
            return self._at_site(config, dictionary, density, step)

        return {"dictionaries": eqx.filter_eval_shape(left, shapes)}

    def init(
        self, model: Transformer, task: AbstractTask, *, key: Key[Array, ""]
    ) -> saes.Dictionary:
        """Dictionaries with random directions and the mean of the first checkpoint."""
        config = model.config
        given = (self._config(config), model, self._places(config), task, self.training)
        return saes.fresh_in_program(*given, key=fold_name(key, "training"))

    def step(
        self,
        state: saes.Dictionary,
        snapshot: Snapshot,
        task: AbstractTask,
        *,
        key: Key[Array, ""],
    ) -> tuple[saes.Dictionary, Outcome]:
        """The dictionaries after this checkpoint's training, and what it was like."""
        model, config = snapshot.model, snapshot.model.config
        given = (self._config(config), model, self._places(config), task, self.training)
        made, record = saes.train_in_program(
            *given, start=state, key=fold_name(key, "training")
        )
        density = self._densities(made, model, task, fold_name(key, "examples"))
        step = jnp.asarray(snapshot.step, jnp.int32)
        left = self._at_site(config, made, density, step)
        lost = ~jnp.isfinite(record.loss).all()
        failure = Failure(
            lost.sum(dtype=jnp.int32),
            "the training of a dictionary was not finite; lower `learning_rate`",
        )
        return made, Outcome(_told(record, density), {"dictionaries": left}, failure)

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list]:
        """Numbers of the layers, and the updates at which courses are told."""
        del task, key
        updates = _updates(self.training.steps)
        return {"layer": list(self._layers(config)), "update": updates.tolist()}

    def _densities(self, made, model, task, key) -> Array:
        """The share of the test tokens on which each latent fires."""
        examples = task.sample(self.n_examples, split="test", key=key)
        names = self._places(model.config)
        acts = capture(model, examples.tokens, names)[1]
        width = made.W_enc.shape[-2]
        fires = lambda d, x: (d.encode(x) != 0).mean(axis=0, dtype=jnp.float32)
        found = []
        for place, name in enumerate(names):
            x = acts[name].reshape(-1, width).astype(jnp.float32)
            twins = jax.tree.map(lambda a, place=place: a[place], made)
            found.append(jax.lax.map(lambda d, x=x: fires(d, x), twins))
        return jnp.stack(found)

    def _config(self, config: TransformerConfig) -> saes.AbstractArchitecture:
        width = saes.site_width(config, self._places(config))
        row = find(saes.ARCHITECTURES, self.architecture, kind="architecture")
        return row.build(d_in=width, **dict(self.options))

    def _layers(self, config: TransformerConfig) -> tuple[int, ...]:
        own, layer = resolve_site(self.site, site_table(config))
        if layer is not None:
            return (layer,)
        if site_table(config)[own].axes[0] != "layer":
            return (0,)
        return self.layers or tuple(range(config.n_layers))

    def _places(self, config: TransformerConfig) -> tuple[str, ...]:
        """A name for each layer."""
        table = site_table(config)
        own, layer = resolve_site(self.site, table)
        if layer is not None or table[own].axes[0] != "layer":
            return (self.site,)
        wrong = [i for i in self._layers(config) if not 0 <= i < config.n_layers]
        if wrong:
            raise ValueError(
                f"dictionaries: the model has layers 0 to {config.n_layers - 1}; got "
                f"{wrong}. Change `layers`."
            )
        spelt = table[own].transformer_lens
        return tuple(f"blocks.{i}.{spelt}" for i in self._layers(config))

    def _at_site(self, config, dictionary, density, step) -> AtSite:
        own, _ = resolve_site(self.site, site_table(config))
        layered = site_table(config)[own].axes[0] == "layer"
        layers = self._layers(config) if layered else None
        return AtSite(dictionary, density, step, own, layers)


def _told(record, density: Array) -> dict[str, Quantity]:
    """Means over the end of the training, and densities of all latents."""
    last = max(1, round(_END * record.loss.shape[-1]))
    mean = lambda x: x[..., -last:].mean(axis=-1)
    series = {
        "loss": (record.loss, "", "loss of dictionaries at the end of their training"),
        "l0": (record.l0, "latents", "that fire on a token in the mean"),
        "fvu": (record.fvu, "share", "of the variance that is not explained"),
    }
    found = {
        name: Quantity(mean(values)[:, 0], ("layer",), units, meaning)
        for name, (values, units, meaning) in series.items()
    }
    # The course of a training in few points, which is what a curve shows of it.
    places = _updates(record.loss.shape[-1])
    for name, units in (("loss", ""), ("l0", "latents"), ("dead", "share")):
        values = getattr(record, name)[:, 0, places]
        found[f"{name}_course"] = Quantity(
            values, ("layer", "update"), units, f"{name} during training", role="detail"
        )
    found["density"] = Quantity(
        density, ("layer", "twin", "latent"), "share", "of tokens", role="detail"
    )
    return found


def _updates(steps: int) -> np.ndarray:
    """The updates of a training of so many that its course is told at."""
    return np.linspace(0, steps - 1, min(_POINTS, steps)).astype(int)


def dictionaries(
    site: str = "resid_post",
    layers: tuple[int, ...] = (),
    architecture: str = "topk",
    d_sae: int = 512,
    options: dict[str, Any] = {},  # noqa: B006
    updates: int = 1000,
    batch_size: int = 1024,
    learning_rate: float | None = None,
    target_l0: float | None = None,
    twins: int = 2,
    skip: int = 0,
    n_examples: int = 64,
) -> Dictionaries:
    """The measurement that trains dictionaries at every checkpoint.

    Args:
        site: What they read and give again.
        layers: In which layers; all if none is named.
        architecture: A row of `saes.ARCHITECTURES` that reads and writes one site.
        d_sae: Latents of each.
        options: Further options of the architecture, such as `{k: 16}`.
        updates: Updates at each checkpoint.
        batch_size: Activations of an update.
        learning_rate: Peak rate; by default as `saes.Training` has it.
        target_l0: Latents that should fire, for architectures with a coefficient.
        twins: Dictionaries of each layer that began with other directions; the second
            is what the first is compared with.
        skip: Positions at the start of each sequence that are left out.
        n_examples: Test examples on which densities are taken.

    Raises:
        ValueError: an option does not fit.
    """
    row = find(saes.ARCHITECTURES, architecture, kind="architecture")
    if row not in saes.ARCHITECTURES.own or "sites" in row.tiny or "d_out" in row.tiny:
        raise ValueError(
            f"dictionaries: {architecture!r} does not read and write one site; take an "
            "autoencoder, such as 'topk'."
        )
    if twins < 1:
        raise ValueError(f"dictionaries: `twins` must be at least 1; got {twins}.")
    training = saes.Training(
        steps=updates,
        batch_size=batch_size,
        learning_rate=learning_rate,
        target_l0=target_l0,
        seeds=twins,
        skip_first=skip,
        buffer_batches=min(32, max(2, updates)),
    )
    given = tuple(sorted({"d_sae": d_sae, **options}.items()))
    return Dictionaries(site, tuple(layers), architecture, given, training, n_examples)


SPEC = MeasurementSpec(
    name="dictionaries",
    summary="sparse autoencoders at every checkpoint, begun from the one before",
    build=dictionaries,
    tiny={
        "d_sae": 8, "options": {"k": 2}, "updates": 4, "batch_size": 8, "n_examples": 4,
    },
)  # fmt: skip
