"""Any metric of the catalogue, of any component, over training."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Key, PyTree

from ..._core import find, fold_name
from ...components import (
    PICO_COMPONENTS,
    PICO_METRICS,
    AbstractComponent,
    Factored,
    Part,
    builder,
    observe,
)
from ...metrics import METRICS, MetricSpec, Similarity, singular_values
from ...models import Transformer, TransformerConfig
from ...tasks import AbstractTask, Split
from .._options import check_options
from ._attention import periods_of
from ._compare import compare
from ._measurement import MeasurementSpec, PerCheckpoint, Snapshot
from ._over import dense, over
from ._quantity import Failure, Outcome, Quantity, Role
from ._reference import AT_HAND, Reference, described, use_of
from ._use import Use


class Metrics(PerCheckpoint):
    """Metrics × components, at every layer and head, in one program.

    A checkpoint is run once, and one spectrum of each component serves all spectral
    metrics. Comparisons are with a reference, of which only what they need is kept.
    """

    metrics: tuple[MetricSpec, ...] = eqx.field(static=True)
    entries: tuple[Mapping[str, Any], ...] = eqx.field(static=True)
    split: Split = eqx.field(static=True)
    n_examples: int = eqx.field(static=True)
    compared_with: Reference = eqx.field(static=True)

    @property
    def uses(self) -> Mapping[str, Use]:
        """The models that comparisons are with, unless a snapshot has them."""
        if self.compared_with in AT_HAND:
            return {}
        return {"reference": use_of(self.compared_with)}

    @property
    def needs_previous(self) -> bool:
        """Whether the checkpoint before is the reference."""
        return self.compared_with == "previous"

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse components that are missing or of a kind that a metric does not take.

        Args:
            config: The config of the study's models.
            task: The study's task.

        Raises:
            ValueError: a component is missing, or of another kind or shape.
        """
        chosen = self._components(config, task)
        for spec in self.metrics:
            for c in chosen:
                if c.data not in spec.data:
                    raise ValueError(
                        f"metrics: {spec.name} is of {' or '.join(spec.data)}, and "
                        f"{c.name!r} here stands for {c.data}."
                    )
        # Shapes are the rest of what can be wrong, and tracing finds that.
        model = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))
        eqx.filter_eval_shape(self._trace, model, task)

    def _trace(self, model: Transformer, task: AbstractTask) -> Outcome:
        """The outcome for shapes alone, with a reference of the right shape."""
        key = jr.key(0)
        inputs = {}
        if self.uses:
            target = self.observe(model, task, key=key)
            if self.compared_with == "all":
                target = jax.tree.map(lambda x: x[None], target)
            inputs["reference"] = target
        shot = Snapshot(jnp.array(1), model, model, jnp.array(True), inputs)
        return self(shot, task, key=key)

    @property
    def _compares(self) -> bool:
        """Whether any metric is of two representations."""
        return any(spec.kind in ("change", "similarity") for spec in self.metrics)

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Quantities `METRIC:COMPONENT`, each with the axes of its component.

        The outcome has failed where an entry of a component is not finite.
        """
        parts = self._parts(snapshot.model, task, key)
        non_finite = _count_non_finite(parts)
        measured = {"non_finite": non_finite}
        spectral = any(spec.kind == "spectrum" for spec in self.metrics)
        spectra = {k: _spectrum(part) for k, part in parts.items()} if spectral else {}
        for spec in self.metrics:
            for label, part in parts.items():
                if spec.kind == "spectrum":
                    assert spec.of_spectrum is not None
                    values = over(spec.of_spectrum, len(part.dims), spectra[label])
                elif spec.kind == "array":
                    whole = lambda x, spec=spec: spec.fn(dense(x))
                    values = over(whole, len(part.dims), part.values)
                else:
                    continue
                measured[f"{spec.name}:{label}"] = _quantity(spec, part, values)
        if self._compares:
            measured |= self._comparisons(parts, snapshot, task, key)
        reason = "{count} entries of the components are not finite (NaN or infinite)"
        return Outcome(measured, failure=Failure(non_finite.values, reason))

    def _comparisons(
        self,
        parts: dict[str, Part],
        snapshot: Snapshot,
        task: AbstractTask,
        key: Key[Array, ""],
    ) -> dict[str, Quantity]:
        """Quantities of the metrics that compare with the reference."""
        own = self._prepared(parts)
        if self.compared_with == "previous":
            target = self.observe(snapshot.previous, task, key=key)
        elif self.compared_with == "layers":
            target = own
        else:
            target = snapshot.inputs["reference"]
        measured = {}
        for spec in self.metrics:
            if spec.kind not in ("change", "similarity"):
                continue
            for label, part in parts.items():
                one, other = own[spec.name][label], target[spec.name][label]
                result, extra = compare(spec, part, one, other, self.compared_with)
                # A curve says what it is compared with, so that two references are told
                # apart.
                beside = described(self.compared_with)
                told = spec._replace(summary=f"{spec.summary}; compared with {beside}")
                back = self.needs_previous
                name = f"{spec.name}:{label}"
                if isinstance(result, Similarity):
                    measured[name] = _quantity(
                        told, part, result.value, extra, since_previous=back
                    )
                    about = spec._replace(summary=f"{spec.name} of unrelated data")
                    measured[f"{spec.name}_chance:{label}"] = _quantity(
                        about,
                        part,
                        result.chance,
                        extra,
                        role="diagnostic",
                        since_previous=back,
                    )
                else:
                    measured[name] = _quantity(
                        told, part, result, extra, since_previous=back
                    )
        return measured

    def observe(
        self, model: Transformer, task: AbstractTask, *, key: Key[Array, ""]
    ) -> PyTree:
        """What each comparison needs of each component, computed once."""
        return self._prepared(self._parts(model, task, key))

    def _prepared(self, parts: dict[str, Part]) -> dict[str, dict[str, PyTree]]:
        """What each comparison needs, by metric and component."""
        prepared = {}
        for spec in self.metrics:
            if spec.kind == "similarity":
                prepared[spec.name] = {
                    label: over(_prepare_of(spec), len(part.dims), part.values)
                    for label, part in parts.items()
                }
            elif spec.kind == "change":
                prepared[spec.name] = {k: part.values for k, part in parts.items()}
        return prepared

    def _parts(
        self, model: Transformer, task: AbstractTask, key: Key[Array, ""]
    ) -> dict[str, Part]:
        """The components of a model on examples of the task."""
        batch = task.sample(
            self.n_examples, split=self.split, key=fold_name(key, "examples")
        )
        return observe(
            model,
            batch,
            self._components(model.config, task),
            key=fold_name(key, "heads"),
        )

    def _components(
        self, config: TransformerConfig, task: AbstractTask
    ) -> list[AbstractComponent]:
        """The components that the study names, for models of a config.

        Raises:
            ValueError: an option does not fit the model, or two components share a
                name.
        """
        chosen = []
        for entry in self.entries:
            options = {k: v for k, v in entry.items() if k != "component"}
            build = builder(entry["component"])
            if "periods" in inspect.signature(build).parameters:
                # By default those of the data that the model learnt from.
                own = tuple(options.get("periods", ())) or periods_of(task, config)
                options["periods"] = own
            made = build(config, **options)
            # A label is part of a quantity's name, and the second would replace the
            # first.
            if made.label in {c.label for c in chosen}:
                raise ValueError(
                    f"metrics: two components would be called {made.label!r}; give "
                    "them rows of their own."
                )
            chosen.append(made)
        return chosen


def _prepare_of(spec: MetricSpec) -> Callable[[Array | Factored], Any]:
    """A metric's preparation, of matrices and of products of two."""
    prepare = spec.prepare
    assert prepare is not None
    return lambda x: prepare(dense(x))


def _spectrum(part: Part) -> Array:
    """Singular values of every matrix of a component."""

    def one(x: Array | Factored) -> Array:
        if isinstance(x, Factored):
            return x.singular_values("auto")
        return singular_values(x, method="auto")

    return over(one, len(part.dims), part.values)


def _count_non_finite(parts: dict[str, Part]) -> Quantity:
    """The number of entries, in all components, that are NaN or infinite."""
    leaves = jax.tree.leaves([part.values for part in parts.values()])
    counts = [(~jnp.isfinite(x)).sum() for x in leaves]
    meaning = "entries of the components that are not finite"
    count = jnp.stack(counts).sum()
    return Quantity(count, (), "entries", meaning, role="diagnostic")


def _quantity(
    spec: MetricSpec,
    part: Part,
    values: Array,
    extra: tuple[str, ...] = (),
    role: Role = "series",
    since_previous: bool = False,
) -> Quantity:
    """A metric's values with the axes of their component."""
    return Quantity(
        part.on_every_layer(values),
        (*part.dims, *extra),
        spec.units,
        spec.summary,
        role=role,
        since_previous=since_previous,
    )


def metrics(
    metric: str | list[str],
    components: list[Any],
    data_split: Literal["train", "test", "val"] = "test",
    reference: int | str | None = None,
    n_examples: int = 256,
    pico_compat: bool = False,
) -> Metrics:
    """Any metric of the catalogue, of any component.

    Args:
        metric: One of `jaxcirc.metrics.METRICS`, or several.
        components: Names of sites, of weights or of `jaxcirc.components.COMPONENTS`,
            or mappings with `component` and its options.
        data_split: Where examples come from; `val` is `test`.
        reference: What comparisons are with: a step, `first`, `last`, `previous`,
            `all`, `layers`, or another run's folder, with `@STEP` unless its last is
            meant.
        n_examples: Examples for activations and gradients.
        pico_compat: As Pico Analyze computes it: biased CKA, the d_head × d_head
            product W_O W_V for `ov`.

    Raises:
        ValueError: a name, an option or a reference does not fit the metrics.
    """
    names = [metric] if isinstance(metric, str) else metric
    if pico_compat:
        names = [PICO_METRICS.get(name, name) for name in names]
    rows = tuple(find(METRICS, name, kind="metric") for name in names)
    comparing = [row.name for row in rows if row.kind in ("change", "similarity")]
    if comparing and reference is None:
        raise ValueError(
            f"metrics: {comparing[0]} compares; give a `reference`: a step, first, "
            "last, previous, all, layers, or another run."
        )
    if reference is not None and not comparing:
        raise ValueError(
            f"metrics: {', '.join(names)} is of one checkpoint and takes no "
            "`reference`."
        )
    if n_examples < 4:
        raise ValueError(
            f"metrics: `n_examples` must be at least 4, for similarities; got "
            f"{n_examples}."
        )
    if not components:
        raise ValueError("metrics: `components` is empty; name a site or a weight.")
    entries, faults = [], []
    for i, entry in enumerate(components):
        entry = {"component": entry} if isinstance(entry, str) else dict(entry)
        name = str(entry.pop("component", ""))
        if pico_compat:
            name = PICO_COMPONENTS.get(name, name)
        checked, wrong = check_options(
            builder(name), entry, where=f"components[{i}]", provided=["config"]
        )
        faults += (
            wrong if name else [f"components[{i}].component: this key is required"]
        )
        if not wrong:
            entries.append({**checked, "component": name})
    if faults:
        raise ValueError("\n".join(faults))
    split: Split = "train" if data_split == "train" else "test"
    return Metrics(rows, tuple(entries), split, n_examples, reference)


SPEC = MeasurementSpec(
    name="metrics",
    summary="any metrics of weights, activations, gradients and what heads do",
    build=metrics,
    tiny={
        "metric": ["effective_rank", "gini", "cka"],
        "components": ["resid_post"],
        "reference": "last",
        "n_examples": 8,
    },
)
