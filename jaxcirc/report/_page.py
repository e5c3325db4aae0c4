"""The page: everything in one HTML file that needs no network."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import xarray as xr
import yaml

from ..plots import plotly_script
from ._findings import findings
from ._panels import Section, sections
from ._provenance import origin_rows, sitting_table
from ._results import results, step_text
from ._series import LONG_HEADER, long_rows, numbers_table, to_csv
from ._state import mixed_sentences, run_state, trained_steps

_FOLDER = Path(__file__).parent / "assets"
# Anchors of the page's own parts, which no measurement may take.
_OWN_ANCHORS = ("findings", "table", "provenance", "table-csv", "long-csv")
# What could end a script element, or begin a comment in it; JSON has other words.
_IN_SCRIPT = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def render(tree: xr.DataTree) -> str:
    """A study's results as one self-contained HTML page.

    A part that cannot be drawn is replaced by the reason, and warned of.

    Args:
        tree: What `jaxcirc.study.Study.open` returns.

    Returns:
        The page. It loads nothing from anywhere and prints on paper.

    Raises:
        ValueError: the tree does not say which study it is of.
    """
    about = _attributes(tree)
    study, identity = about["study"], about["identity"]
    drawn = _anchored(sections(tree))
    table = numbers_table(tree)
    return _template().render(
        study=study,
        state=run_state(tree),
        warnings=mixed_sentences(tree),
        facts=_facts(tree, about),
        findings=findings(tree),
        sections=drawn,
        in_script=_inline,
        table=table,
        table_csv=_inline(json.dumps(to_csv(table.header, table.rows))),
        long_csv=_inline(json.dumps(to_csv(LONG_HEADER, long_rows(tree)))),
        config=yaml.safe_dump(study, sort_keys=False, allow_unicode=True),
        origin=origin_rows(tree),
        sittings=sitting_table(tree),
        model=identity.get("model", {}),
        plotly=plotly_script(),
        script=(_FOLDER / "page.js").read_text(encoding="utf-8"),
        style=(_FOLDER / "page.css").read_text(encoding="utf-8"),
    )


def _attributes(tree: xr.DataTree) -> dict[str, Any]:
    for name in ("study", "identity"):
        if name not in tree.attrs:
            raise ValueError(
                f"render: the tree has no attribute {name!r}; give what "
                "`jaxcirc.study.Study(FOLDER).open()` returns."
            )
    return {name: json.loads(tree.attrs[name]) for name in ("study", "identity")} | {
        "task": json.loads(tree.attrs.get("task", "{}"))
    }


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["json"] = json.dumps
    return environment.get_template("page.html")


def _anchored(drawn: Sequence[Section]) -> list[Section]:
    """Sections with ids that are plain words and differ from each other."""
    taken: set[str] = set(_OWN_ANCHORS)
    made = []
    for section in drawn:
        word = re.sub(r"[^A-Za-z0-9_-]+", "-", section.id).strip("-") or "section"
        free = (word if i == 1 else f"{word}-{i}" for i in range(1, len(drawn) + 9))
        anchor = next(name for name in free if name not in taken)
        taken.add(anchor)
        made.append(section._replace(id=anchor))
    return made


def _facts(tree: xr.DataTree, about: dict[str, Any]) -> list[tuple[str, str]]:
    identity, model = about["identity"], about["identity"].get("model", {})
    nodes = results(tree).items()
    steps = [data.sizes.get("step", 0) for k, data in nodes if k != "training"]
    task = list(about["task"].items())
    checkpoints = ("checkpoints", f"{max(steps, default=0):,} measured")
    if "training" not in identity:
        source = identity["trajectory"]["source"]
        names = [source] if isinstance(source, str) else source
        size = f"{model['n_layers']} layers of {model['d_model']}"
        return [
            ("trajectory", ", ".join(names)),
            ("model", size),
            *task,
            checkpoints,
        ]
    training = identity["training"]
    batch = training["batch_size"]
    size = "the whole train split" if batch is None else f"{batch:,} examples"
    done, planned = trained_steps(tree)
    of = step_text(planned) if done >= planned else f"{step_text(done)} of {planned:,}"
    return [
        ("model", str(about["study"]["model"]["family"]).replace("_", " ")),
        *task,
        ("training", f"{of} steps on {size}"),
        ("optimiser", f"{training['optimizer']}, rate {training['learning_rate']:g}"),
        checkpoints,
        ("seeds", f"{training['seeds']}, from {training['seed']}"),
    ]


def _inline(text: str) -> jinja2.utils.markupsafe.Markup:  # pyright: ignore
    """JSON that is safe inside a script element, and says the same."""
    return jinja2.utils.markupsafe.Markup(text.translate(_IN_SCRIPT))  # pyright: ignore
