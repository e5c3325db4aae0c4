"""Templates of the page and of sections' controls."""

from pathlib import Path
from typing import Any

import jinja2

ASSETS = Path(__file__).parent / "assets"


def template(name: str) -> jinja2.Template:
    """A template of the page, by its file's name."""
    return _environment().get_template(name)


def controls(section_file: Path, data: Any) -> str:
    """A section's own controls as HTML.

    Args:
        section_file: The section's Python file; the template has its name, and the
            ending `.html`.
        data: What the block's `explorer` is; the template calls it `data`.

    Returns:
        HTML in which all text is escaped.

    Raises:
        FileNotFoundError: there is no such template.
    """
    text = section_file.with_suffix(".html").read_text(encoding="utf-8")
    return _environment().from_string(text).render(data=data)


def script(section_file: Path) -> str:
    """The script that moves a section's controls: its file with the ending `.js`.

    Raises:
        FileNotFoundError: there is no such script.
    """
    return section_file.with_suffix(".js").read_text(encoding="utf-8")


def asset(name: str) -> str:
    """The text of one of the page's own files."""
    return (ASSETS / name).read_text(encoding="utf-8")


def _environment() -> jinja2.Environment:
    """Templates of the page, in which a name that is missing is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS),
        # What a study says goes into the page, and must not become markup.
        autoescape=True,
        # By default a missing name is drawn as nothing, and nobody notices.
        undefined=jinja2.StrictUndefined,
    )
