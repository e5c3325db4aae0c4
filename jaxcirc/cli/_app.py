"""The command's words: run, report, check, list, new, plan."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ._cache import compilation_cache
from ._device import check_device
from ._errors import ROWS_FAILED, guard, speak_any_terminal

# The libraries that do the work are imported by the commands that need them, so that
# `--help` answers at once.

app = typer.Typer(
    name="jaxcirc",
    help="Train a transformer, measure every checkpoint, read the report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
console = Console()

StudyArgument = Annotated[
    str, typer.Argument(help="A packaged study (see `jaxcirc list`) or a YAML file.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Change keys: training.steps=500"),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")]


@app.command()
def run(study: StudyArgument, overrides: Overrides = None, debug: Debug = False):
    """Train, measure every checkpoint and write the report; go on where it stopped.

    Exit codes: 0 all is done; 1 training diverged; 2 something to mend in the study or
    a file; 3 done, but some measurements failed; 130 and 143 stopped by Ctrl-C and
    SIGTERM. What came before is kept in each case.

    Example: `jaxcirc run induction training.steps=500 out=runs/short`
    """

    def work():
        from .. import study as studies
        from ..training import TrainingDiverged
        from ._progress import RunProgress

        compilation_cache()
        check_device()
        config = studies.load_config(study, overrides or ())
        _check_outlives(config.folder)
        prepared = studies.prepare(config)
        studies.check_memory(prepared)
        folder, status = prepared.config.folder, {}
        with studies.Tracking(prepared) as tracking:
            try:
                with RunProgress(console, prepared.source.steps) as progress:
                    studies.run(prepared, progress, debug=debug, tracking=tracking)
            except TrainingDiverged:
                # The checkpoints before have been measured, and are worth reading.
                _write_report(folder)
                tracking.page(_report_path(folder))
                raise
            status = _write_report(folder)
            tracking.page(_report_path(folder))
        if status["failed"]:
            raise SystemExit(ROWS_FAILED)

    guard(work, debug=debug)


@app.command()
def report(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder.")],
    debug: Debug = False,
):
    """Write the HTML report of a run again.

    Example: `jaxcirc report runs/induction`
    """
    guard(lambda: _write_report(folder), debug=debug)


@app.command()
def check(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder.")],
    repair: Annotated[
        bool, typer.Option("--repair", help="Delete what only hinders the next run.")
    ] = False,
    debug: Debug = False,
):
    """Say whether every file of a run is what was written, and what it lacks.

    With `--repair`, damaged and orphaned cells and what killed writes have left are
    deleted; the next run measures those cells again. Exit code 1 if anything is wrong.

    Example: `jaxcirc check runs/induction`
    """

    def work():
        from ..study import check_run

        with console.status("reading every file"):
            found = check_run(folder, repair=repair)
        for fault in found.faults:
            done = " (deleted)" if fault.repaired else ""
            console.print(
                f"• {fault.path}: {fault.what}{done}", highlight=False, markup=False
            )
        for note in found.notes:
            console.print(f"• {note}", highlight=False, markup=False)
        console.print(f"{found.files:,} files read; {found.summary}", highlight=False)
        if any(not fault.repaired for fault in found.faults):
            raise SystemExit(1)

    guard(work, debug=debug)


@app.command("list")
def list_all():
    """List everything that a study can name, of this library and of other packages.

    Example: `jaxcirc list`
    """
    from ._listing import listing

    groups, left_out = listing()
    speak_any_terminal()
    table = Table(box=None, pad_edge=False, show_header=False)
    for title, rows in groups.items():
        table.add_row(f"[bold]{title}[/bold]", "")
        for row in rows:
            table.add_row(f"  {escape(row.name)}", escape(row.summary))
    console.print(table)
    for one in left_out:
        console.print(f"• {one.sentence}", highlight=False, markup=False)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the study, and of its file.")],
    debug: Debug = False,
):
    """Write a commented YAML file to start from.

    Example: `jaxcirc new my_study`, then `jaxcirc run my_study.yaml`
    """

    def work():
        from ..study import new_study

        path = Path(name if name.endswith(".yaml") else f"{name}.yaml")
        if path.exists():
            raise ValueError(f"{path} is there already; choose another name.")
        path.write_text(new_study(path.stem), encoding="utf-8")
        console.print(f"Wrote {path}. Run it with: jaxcirc run {path}")

    guard(work, debug=debug)


@app.command("import-pico-config")
def import_pico_config(
    source: Annotated[str, typer.Argument(metavar="OLD.yaml", help="Its file.")],
    debug: Debug = False,
):
    """Turn an analysis file of Pico Analyze into a study, and say what changed.

    Example: `jaxcirc import-pico-config old.yaml`
    """

    def work():
        import yaml

        from ..study import convert_pico

        if not Path(source).is_file():
            raise ValueError(
                f"{source}: no such file; give an analysis file of Pico Analyze."
            )
        converted = convert_pico(Path(source).read_text(encoding="utf-8"), source)
        path = Path(f"{converted.study['name']}.yaml")
        if path.exists():
            raise ValueError(
                f"{path} is there already; move it, or rename the analysis."
            )
        text = yaml.safe_dump(converted.study, sort_keys=False, allow_unicode=True)
        path.write_text(text, encoding="utf-8")
        for note in converted.notes:
            console.print(f"• {note}", highlight=False, markup=False)
        console.print(f"Wrote {path}. Set its task and model, then: jaxcirc run {path}")

    guard(work, debug=debug)


@app.command()
def plan(study: StudyArgument, overrides: Overrides = None, debug: Debug = False):
    """Show what a study would do, without doing it.

    Example: `jaxcirc plan grokking training.seeds=8`
    """

    def work():
        from .. import study as studies

        compilation_cache()
        check_device()
        prepared = studies.prepare(studies.load_config(study, overrides or ()))
        with console.status("asking the compiler for memory"):
            planned = studies.plan(prepared)
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_row("folder", prepared.config.folder)
        each = " each" if planned.seeds > 1 else ""
        table.add_row("model", f"{planned.parameters:,} parameters{each}")
        table.add_row("seeds", f"{planned.seeds}")
        if planned.steps:
            table.add_row("training", f"{planned.steps:,} steps")
        table.add_row("checkpoints", _shorten(planned.checkpoints))
        for name, (cells, there) in planned.cells.items():
            done = f", {there} of them done" if there else ""
            memory = _memory_text(planned.measuring[name])
            table.add_row(f"  {name}", escape(f"{cells} cells{done}{memory}"))
        while_ = "while training" if planned.steps else "of checkpoints at a time"
        table.add_row("memory", f"{_size(planned.memory_bytes)} {while_}")
        if prepared.track is not None:
            table.add_row("tracking", escape(prepared.track.name))
        if planned.disk_bytes:
            table.add_row("disk", f"{_size(planned.disk_bytes)} of checkpoints")
        console.print(table)

    guard(work, debug=debug)


def main() -> None:
    """Run the `jaxcirc` command with the arguments of this process.

    The words are `run`, `report`, `check`, `list`, `new`, `plan` and
    `import-pico-config`; each says what it takes under `--help`. The process ends here,
    with a code that tells how: 0 if all is done, 1 if training diverged, a check found
    a fault or jaxcirc has one, 2 if something in the input is to be mended, 3 if some
    measurements failed, 130 and 143 if it was stopped.

    Raises:
        SystemExit: always, with that code.
    """
    app()


def _write_report(folder: str) -> dict:
    """Write the page, print its findings, and return the run's status."""
    from .._core import seal_page, write_atomically
    from ..report import feature_pages, findings, render
    from ..study import Study, with_changes

    with console.status("writing the report"):
        tree = with_changes(Study(folder).open())
        path = _report_path(folder)
        for name, page in feature_pages(tree, Study(folder)):
            write_atomically(f"{folder.rstrip('/')}/{name}", seal_page(page))
        write_atomically(path, seal_page(render(tree)))
    for sentence in findings(tree):
        console.print(f"• {sentence}", highlight=False, markup=False)
    console.print(f"Report: [bold]{escape(path)}[/bold]", soft_wrap=True)
    return json.loads(tree.attrs["status"])


def _report_path(folder: str) -> str:
    """Where the page of a run is."""
    return f"{folder.rstrip('/')}/report.html"


def _check_outlives(folder: str) -> None:
    """Refuse a folder that ends with this process.

    Raises:
        ValueError: the folder lives in memory.
    """
    if folder.partition("://")[0] == "memory":
        raise ValueError(
            f"out: {folder} lives in the memory of this process, so everything would "
            "be lost at its end. Give a folder, or an object store."
        )


def _shorten(steps: tuple[int, ...]) -> str:
    """Steps in one line, of which those in the middle may be left out."""
    if len(steps) <= 12:
        return ", ".join(map(str, steps))
    head, tail = ", ".join(map(str, steps[:6])), ", ".join(map(str, steps[-3:]))
    return f"{len(steps)}: {head}, …, {tail}"


def _memory_text(memory: int | str | None) -> str:
    """What is said of a row's memory, as the end of a line."""
    if memory is None:
        return ", as much memory as fits"
    if isinstance(memory, str):
        return f", cannot be measured: {memory.splitlines()[0]}"
    return f", {_size(memory)}"


def _size(n: float) -> str:
    """A number of bytes in three digits and a unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"
