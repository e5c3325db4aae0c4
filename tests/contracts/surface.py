"""What the public packages export, read from the sources without importing them."""

import ast
import dataclasses
import functools
import pathlib
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[2]
LIBRARIES = ("jaxcirc", "tracr_bridge")
# What runs when an object is made; the last two check what dataclasses have filled in.
CONSTRUCTORS = ("__init__", "__post_init__", "__check_init__")
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@dataclasses.dataclass(frozen=True)
class Exported:
    """A function or class that a user can import, where it is, and its class if any."""

    name: str
    file: pathlib.Path
    node: Definition
    owner: ast.ClassDef | None = None

    @property
    def place(self) -> str:
        """The file, the line and the name, as an editor opens them."""
        return f"{self.file.relative_to(ROOT)}:{self.node.lineno} {self.name}"

    @property
    def doc(self) -> str:
        """The docstring, or nothing; of what makes an object, that of its class."""
        made = self.owner is not None and self.node.name in CONSTRUCTORS
        return ast.get_docstring(self.owner if made else self.node) or ""


@functools.cache
def parse(file: pathlib.Path) -> ast.Module:
    """A module's tree."""
    return ast.parse(file.read_text())


def public_packages() -> list[pathlib.Path]:
    """Every `__init__.py` whose path has no part with a leading underscore."""
    found = (file for name in LIBRARIES for file in (ROOT / name).rglob("__init__.py"))
    folders = (file.parent.relative_to(ROOT) for file in found)
    public = (f for f in folders if not any(p.startswith("_") for p in f.parts))
    return sorted(ROOT / folder / "__init__.py" for folder in public)


def source_of(file: pathlib.Path, statement: ast.ImportFrom) -> pathlib.Path | None:
    """The file that an import statement names, or None where it is not ours."""
    # What `from . import name` names is a module, which defines nothing by itself.
    if statement.module is None:
        return None
    parts = statement.module.split(".")
    if not statement.level and parts[0] not in LIBRARIES:
        return None
    start = file.parents[statement.level - 1] if statement.level else ROOT
    target = start.joinpath(*parts)
    module = target.with_suffix(".py")
    return module if module.exists() else target / "__init__.py"


def imported(file: pathlib.Path) -> Iterator[tuple[str, str, pathlib.Path]]:
    """What a module imports from our own modules: name here, name there, file."""
    for statement in parse(file).body:
        if isinstance(statement, ast.ImportFrom):
            source = source_of(file, statement)
            if source is not None and source.exists():
                for alias in statement.names:
                    yield alias.asname or alias.name, alias.name, source


def definition(file: pathlib.Path, name: str) -> Exported | None:
    """Where a name is defined, followed through the modules that only hand it on."""
    for node in parse(file).body:
        if isinstance(node, Definition) and node.name == name:
            return Exported(name, file, node)
    for here, there, source in imported(file):
        if here == name:
            return definition(source, there)
    return None


def exported() -> list[Exported]:
    """All exported functions and classes, each once."""
    found = {}
    for file in public_packages():
        for here, there, source in imported(file):
            one = None if here.startswith("_") else definition(source, there)
            if one is not None:
                found[one.file, one.node.name] = one
    return list(found.values())


def methods(one: Exported) -> Iterator[Exported]:
    """The public methods that a class defines itself."""
    assert isinstance(one.node, ast.ClassDef)
    for node in one.node.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield Exported(f"{one.name}.{node.name}", one.file, node, one.node)


def fields(one: Exported) -> list[str]:
    """The public fields that a class declares."""
    assert isinstance(one.node, ast.ClassDef)
    declared = (
        node.target.id
        for node in one.node.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if "ClassVar" not in ast.unparse(node.annotation)
    )
    return [name for name in declared if not name.startswith("_")]


def constructors(one: Exported) -> Iterator[Exported]:
    """What a class defines itself of how it is made."""
    assert isinstance(one.node, ast.ClassDef)
    for node in one.node.body:
        if isinstance(node, Function) and node.name in CONSTRUCTORS:
            yield Exported(one.name, one.file, node, one.node)


def bases(one: Exported) -> Iterator[Exported]:
    """The classes of ours from which a class derives, nearest first."""
    assert isinstance(one.node, ast.ClassDef)
    for base in one.node.bases:
        base = base.value if isinstance(base, ast.Subscript) else base
        found = definition(one.file, base.id) if isinstance(base, ast.Name) else None
        if found is not None and isinstance(found.node, ast.ClassDef):
            yield found
            yield from bases(found)
