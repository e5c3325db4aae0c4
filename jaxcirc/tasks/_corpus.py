"""Text from files and folders, or from Python's own standard library."""

import hashlib
import itertools
import pathlib
import sysconfig
import warnings
from collections.abc import Iterator, Sequence

_LIBRARY = "stdlib:"


def read_corpus(paths: Sequence[str], max_bytes: int) -> tuple[bytes, int]:
    """The text of files and folders, and how many files it came from.

    Files stand behind each other with a line end between them, in an order that has no
    meaning but is always the same. Those that are not UTF-8 are left out, with a
    warning that names them. Hidden files, and folders below a given one that are called
    `test`, `idlelib`, `__pycache__`, `site-packages` or `dist-packages`, are left out
    without one.

    Args:
        paths: Files or folders; the Python standard library's source if none. Of that,
            `stdlib:NAME` is a package alone, such as `stdlib:email`.
        max_bytes: Most bytes to read.

    Returns:
        The text as UTF-8, cut off after `max_bytes`, and the number of files.

    Raises:
        ValueError: a path does not exist, or none holds readable text.
    """
    roots = [_root(path) for path in paths or (_LIBRARY,)]
    found = sorted(
        itertools.chain.from_iterable(_files(*root) for root in roots),
        # An order without meaning, so the test split is not the alphabet's end.
        key=lambda file: hashlib.blake2b(str(file[1]).encode()).digest(),
    )
    parts, size, left_out = [], 0, []
    for file, inside in found:
        content = _read_text(file)
        if content is None:
            left_out.append(str(inside))
        elif content and size < max_bytes:
            parts.append(content)
            size += len(content) + 1
    if not parts:
        raise ValueError(
            f"text: no readable UTF-8 text in {', '.join(str(r) for r, _ in roots)}. "
            "Give files or folders that hold some."
        )
    if left_out and paths:
        warnings.warn(_left_out(sorted(left_out), len(found)), stacklevel=3)
    return b"\n".join(parts)[:max_bytes], len(parts)


def _root(path: str) -> tuple[pathlib.Path, str]:
    """Where text is looked for, and which files there are text."""
    if not path.startswith(_LIBRARY):
        return pathlib.Path(path).expanduser(), "*"
    # Beside its source the library has compiled code and data.
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    return library / path.removeprefix(_LIBRARY), "*.py"


def _files(
    root: pathlib.Path, pattern: str
) -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """Text files below `root` that are not hidden, each with its path inside it.

    Raises:
        ValueError: `root` does not exist.
    """
    if not root.exists():
        raise ValueError(f"text: no such file or folder: {root}.")
    if root.is_file():
        yield root, pathlib.Path(root.name)
        return
    # No one's text: installed packages, caches, and Python's own tests.
    skipped = {"site-packages", "dist-packages", "__pycache__", "test", "idlelib"}
    for file in root.rglob(pattern):
        inside = file.relative_to(root)
        hidden = any(part.startswith(".") for part in inside.parts)
        if file.is_file() and not hidden and not skipped.intersection(inside.parts):
            yield file, inside


def _read_text(file: pathlib.Path) -> bytes | None:
    """The file's bytes if they can be read and are UTF-8."""
    try:
        content = file.read_bytes()
        content.decode()
    except (UnicodeDecodeError, OSError):
        return None
    return content


def _left_out(names: list[str], number: int) -> str:
    """The warning that some files were left out, with the names of the first three."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (
        f"text: {len(names)} of {number} files are not UTF-8 text and are left out: "
        f"{', '.join(names[:3])}{more}. Convert what is text in another encoding."
    )
