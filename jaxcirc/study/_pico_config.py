"""Analysis files of Pico Analyze, as studies."""

import math
from typing import Any, NamedTuple

import yaml

from .._core import unknown
from ._config import StudyError

_METRICS = {
    "cka": "cka",
    "pwcca": "pwcca",
    "condition_number": "condition_number",
    "per": "proportional_effective_rank",
    "gini": "gini",
    "hoyer": "hoyer",
}
_NORMS = {"frobenius": "frobenius_norm", "nuclear": "nuclear_norm", "inf": "max_norm"}
# Layer suffix: (weights and their gradients, activations), in our names.
_LAYERS = {
    "attention.q_proj": ("blocks.attn.W_Q", "attn.q"),
    "attention.k_proj": ("blocks.attn.W_K", "attn.k"),
    "attention.v_proj": ("blocks.attn.W_V", "attn.v"),
    "attention.o_proj": ("blocks.attn.W_O", "attn.out"),
    "swiglu.w_0": ("blocks.mlp.W_gate", "mlp.pre"),
    "swiglu.w_1": ("blocks.mlp.W_in", "mlp.pre_linear"),
    "swiglu.w_2": ("blocks.mlp.W_out", "mlp.out"),
}


class Converted(NamedTuple):
    """A study, and what is not as it was.

    Args:
        study: Keys and values, ready to be written as YAML.
        notes: A sentence for each thing that changed.
    """

    study: dict[str, Any]
    notes: tuple[str, ...]


def convert_pico(text: str, source: str) -> Converted:
    """A study that measures what a Pico Analyze file asks for.

    Metrics, components, layers and steps keep their meaning under this library's names,
    and a note tells wherever a definition differs. Task, model and training are made
    up, since Pico Analyze reads a run in place of training one.

    Args:
        text: The contents of the file.
        source: Its name, for messages.

    Returns:
        The study as plain values, and the notes.

    Raises:
        StudyError: it is not such a file, or names what Pico Analyze does not have.

    Example:
        >>> from jaxcirc.study import convert_pico
        >>> text = '''
        ... steps: {start: 0, end: 20, step: 10}
        ... metrics:
        ...   - metric_name: gini
        ...     components:
        ...       - {component_name: simple, data_type: weights,
        ...          layer_suffixes: swiglu.w_2, layers: [0]}
        ... '''
        >>> study = convert_pico(text, "old.yaml").study
        >>> study["steps"], study["metrics"][0]["components"][0]["component"]
        ([0, 10, 20], 'blocks.mlp.W_out')
    """
    try:
        old = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise StudyError(f"{source} is not valid YAML: {error}") from error
    if not isinstance(old, dict) or "metrics" not in old or "steps" not in old:
        raise StudyError(
            f"{source} is not an analysis file of Pico Analyze, which has "
            "`analysis_name`, `metrics` and `steps`."
        )
    notes: list[str] = []
    rows = [_metric(row, source, notes) for row in old["metrics"]]
    steps = _steps(old["steps"], notes)
    # The model has at least the layers that are measured.
    layers = [n for row in rows for c in row["components"] for n in c.get("layers", [])]
    study = {
        "name": _name(str(old.get("analysis_name", "pico"))),
        "task": {"name": "text"},
        "model": {"family": "llama", "n_layers": max(layers, default=11) + 1},
        "training": {
            "steps": max(steps) or 1,
            "checkpoints": "all",
            "every": math.gcd(*steps) or 1,
        },
        "steps": steps,
        "metrics": rows,
    }
    notes.append(
        "`task`, `model` and `training` are new, and are for you to set: this study "
        "trains the model that it measures, where Pico Analyze reads a run."
    )
    if "monitoring" in old:
        notes.append(
            "`monitoring` is left out: results go to runs/NAME, as netCDF and one "
            "report."
        )
    return Converted(study, tuple(dict.fromkeys(notes)))


def _metric(row: dict[str, Any], source: str, notes: list[str]) -> dict[str, Any]:
    """A row of a study for a metric of a Pico Analyze file; notes get what differs.

    Raises:
        StudyError: the file names what Pico Analyze does not have.
    """
    name = str(row.get("metric_name"))
    if name == "norm":
        kind = str(row.get("norm_type"))
        if kind not in _NORMS:
            message = unknown("`norm_type`", kind, _NORMS)
            raise StudyError(f"{source}: {message}")
        metric = _NORMS[kind]
        if kind == "inf":
            notes.append(
                "`norm` of type inf is `max_norm`: Pico Analyze takes the largest "
                "entry, not the operator norm, which is `operator_inf_norm`."
            )
    elif name in _METRICS:
        metric = _METRICS[name]
    else:
        raise StudyError(
            f"{source}: {unknown('`metric_name`', name, [*_METRICS, 'norm'])}"
        )
    differences = {
        "cka": "`cka` is debiased; Pico Analyze's is biased (`pico_compat: true`).",
        "per": "`per` is `proportional_effective_rank`, and has a value where singular "
        "values are 0.",
        "pwcca": "`pwcca` is that of Morcos et al.; Pico Analyze's adds means again "
        "and leaves out whitening, and is not offered.",
        "condition_number": "`condition_number` is over singular values that are not "
        "numerically 0; see `numerical_rank`.",
    }
    if name in differences:
        notes.append(differences[name])
    split = row.get("data_split", "val")
    new = {
        "metric": metric,
        "components": [_component(c, source, notes) for c in row.get("components", [])],
        "data_split": "train" if split == "train" else "test",
    }
    if split == "val":
        notes.append("`data_split: val` is `test`.")
    if "target_checkpoint" in row:
        new["reference"] = row["target_checkpoint"]
    return new


def _component(c: dict[str, Any], source: str, notes: list[str]) -> dict[str, Any]:
    """A component of a study for one of a Pico Analyze file.

    Raises:
        StudyError: the file names what Pico Analyze does not have.
    """
    name, data = c.get("component_name"), c.get("data_type")
    if name == "ov_circuit":
        notes.append(
            "`ov_circuit` is `ov`: W_V W_O of d_model × d_model, attention-weighted "
            "activations and the true gradient; Pico Analyze's products are "
            "`pico_compat: true`, and its gradient is minus `ov_velocity`."
        )
        new: dict[str, Any] = {"component": "ov", "data": data}
    elif name == "simple":
        suffix = str(c.get("layer_suffixes"))
        if suffix not in _LAYERS:
            raise StudyError(f"{source}: {unknown('layer suffix', suffix, _LAYERS)}")
        weight, site = _LAYERS[suffix]
        new = {"component": site if data == "activations" else weight, "data": data}
    else:
        known = unknown("`component_name`", str(name), ["simple", "ov_circuit"])
        raise StudyError(f"{source}: {known}")
    if c.get("layers"):
        new["layers"] = list(c["layers"])
    return new


def _steps(old: Any, notes: list[str]) -> list[int]:
    """The steps of a Pico Analyze file, one by one."""
    if isinstance(old, list):
        return sorted(int(step) for step in old)
    start, end, step = int(old["start"]), int(old["end"]), int(old["step"])
    if (end - start) % step:
        last = end - (end - start) % step
        notes.append(f"`steps` ends at {last}: Pico Analyze goes past `end`.")
    return list(range(start, end + 1, step))


def _name(old: str) -> str:
    """A name that a folder may have."""
    kept = "".join(c if c.isalnum() or c in "_.-" else "_" for c in old)
    return kept.lstrip("_.-") or "pico"
