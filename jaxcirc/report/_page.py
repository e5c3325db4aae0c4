"""The page: everything in one HTML file that needs no network."""

import json
from pathlib import Path

import jinja2
import xarray as xr
import yaml

from ..plots import plotly_script
from ._findings import findings
from ._panels import sections
from ._series import long_rows, step_text, to_csv

_FOLDER = Path(__file__).parent / "assets"


def render(tree: xr.DataTree) -> str:
    """A study's results as one self-contained HTML page.

    Args:
        tree: What `jaxcirc.study.Study.open` returns.

    Returns:
        The page. It loads nothing from anywhere and prints on paper.
    """
    attrs = {name: json.loads(tree.attrs[name]) for name in tree.attrs}
    study = attrs.pop("study")
    header, rows = _table(tree)
    drawn = sections(tree)
    long_header = ["measurement", "quantity", "step", "seed", "where", "value"]
    loader = jinja2.FileSystemLoader(_FOLDER)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("page.html").render(
        study=study,
        facts=_facts(tree, study, attrs["task"]),
        findings=findings(tree),
        sections=[s._replace(figure=_inline(s.figure)) for s in drawn],
        explorers=_inline(json.dumps({s.id: s.explorer for s in drawn if s.explorer})),
        header=header,
        rows=rows,
        table_csv=_inline(json.dumps(to_csv(header, rows))),
        long_csv=_inline(json.dumps(to_csv(long_header, long_rows(tree)))),
        config=yaml.safe_dump(study, sort_keys=False),
        provenance=attrs["provenance"],
        timing=attrs["timing"],
        model=attrs["identity"]["model"],
        data=attrs["identity"]["data"],
        plotly=plotly_script(),
        script=(_FOLDER / "page.js").read_text(),
        style=(_FOLDER / "page.css").read_text(),
    )


def _facts(tree: xr.DataTree, study: dict, task: dict) -> list[tuple[str, str]]:
    identity = json.loads(tree.attrs["identity"])
    measured = [n.to_dataset() for k, n in tree.children.items() if k != "training"]
    checkpoints = max((data.sizes.get("step", 0) for data in measured), default=0)
    measured_facts = [*task.items(), ("checkpoints", f"{checkpoints:,} measured")]
    if "training" not in identity:
        source, model = identity["trajectory"]["source"], identity["model"]
        names = [source] if isinstance(source, str) else source
        size = f"{model['n_layers']} layers of {model['d_model']}"
        return [("trajectory", ", ".join(names)), ("model", size), *measured_facts]
    training = identity["training"]
    batch = training["batch_size"]
    size = "the whole train split" if batch is None else f"{batch:,} examples"
    return [
        ("model", str(study["model"]["family"]).replace("_", " ")),
        *measured_facts[:-1],
        ("training", f"{step_text(training['steps'])} steps on {size}"),
        ("optimiser", f"{training['optimizer']}, rate {training['learning_rate']:g}"),
        measured_facts[-1],
        ("seeds", f"{training['seeds']}, from {training['seed']}"),
    ]


def _table(tree: xr.DataTree) -> tuple[list[str], list[tuple]]:
    """Performance at every checkpoint, the mean over seeds; a row for each step."""
    if "performance" not in tree.children:
        return [], []
    data = tree["performance"].to_dataset().mean("seed")
    names = [(str(v), str(s)) for v in data.data_vars for s in data["split"].values]
    header = ["step", *(f"{split} {name}".replace("_", " ") for name, split in names)]
    rows = []
    for i, step in enumerate(data["step"].values.tolist()):
        cells = (float(data[n].sel(split=s)[i]) for n, s in names)
        rows.append((step, *(f"{cell:.4g}" for cell in cells)))
    return header, rows


def _inline(text: str) -> jinja2.utils.markupsafe.Markup:  # pyright: ignore
    # Safe inside a script element: nothing in it can end the element.
    return jinja2.utils.markupsafe.Markup(text.replace("</", "<\\/"))  # pyright: ignore
