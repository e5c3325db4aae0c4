"""Studies that come with the library, and the file that `jaxcirc new` writes."""

from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent / "packaged"


class PackagedStudy(NamedTuple):
    """A study that comes with the library; its first line says what it shows."""

    name: str
    path: Path

    @property
    def summary(self) -> str:
        """One line for `jaxcirc list`."""
        first = self.path.read_text(encoding="utf-8").splitlines()[0]
        return first.removeprefix("#").strip()


PACKAGED = tuple(
    PackagedStudy(path.stem, path) for path in sorted(_FOLDER.glob("[a-z]*.yaml"))
)


def new_study(name: str) -> str:
    """A commented study of that name, to edit."""
    return (
        (_FOLDER / "_template.yaml").read_text(encoding="utf-8").replace("NAME", name)
    )


def packaged_path(name: str) -> Path | None:
    """The file of a packaged study, if there is one of that name."""
    return next((row.path for row in PACKAGED if row.name == name), None)
