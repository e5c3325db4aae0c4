"""Studies that come with the library, and the file that `jaxcirc new` writes."""

from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent / "packaged"


class PackagedStudy(NamedTuple):
    """A study that comes with the library.

    Args:
        name: What the command line calls it.
        path: Its YAML file, whose first line says what it shows.
    """

    name: str
    path: Path

    @property
    def summary(self) -> str:
        """One line for `jaxcirc list`."""
        first = self.path.read_text(encoding="utf-8").splitlines()[0]
        return first.removeprefix("#").strip()


# A file is a row: `jaxcirc list` and the tests find it by its name.
PACKAGED = tuple(
    PackagedStudy(path.stem, path) for path in sorted(_FOLDER.glob("[a-z]*.yaml"))
)


def new_study(name: str) -> str:
    """A commented study of a name of yours, to edit: what `jaxcirc new` writes.

    It is a whole study that runs as it stands, with a small task, model and training,
    and comments that name the alternatives. `load_config` reads it once it is a file.

    Args:
        name: The study's name, which is also its folder below `runs`: letters, digits,
            dots, underscores and hyphens, of which a letter, digit or underscore is
            first. It is put in as it is, and `load_config` refuses others.

    Returns:
        The text of a YAML file.

    Example:
        >>> import yaml
        >>> from jaxcirc.study import new_study
        >>> yaml.safe_load(new_study("mine"))["name"]
        'mine'
    """
    return (
        (_FOLDER / "_template.yaml").read_text(encoding="utf-8").replace("NAME", name)
    )


def packaged_path(name: str) -> Path | None:
    """The file of a packaged study, if there is one of that name."""
    return next((row.path for row in PACKAGED if row.name == name), None)
