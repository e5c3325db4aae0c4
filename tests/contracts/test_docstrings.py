"""Docstrings of what is exported: parameters, exceptions, length and examples.

Ruff's D417 asks only that a section `Args:` which is there be complete, and its DOC501
sees no exception that a helper raises. The rest is held here.
"""

import ast
import re

import pytest

from .raises import exceptions
from .surface import (
    Exported,
    Function,
    bases,
    constructors,
    definition,
    exported,
    fields,
    methods,
)

# The docstrings of commands are what `--help` prints, whose options are told one by one
# beside their annotations; a section `Args:` would be printed twice.
HELP_TEXTS = ("jaxcirc/cli/",)
# An assertion says that a place cannot be reached; no input of a user brings it about.
OWN_FAULTS = {"AssertionError"}
WORDS, EXAMPLES = 70, 0.6

ALL = [one for one in exported() if not any(h in str(one.file) for h in HELP_TEXTS)]
FUNCTIONS = [one for one in ALL if isinstance(one.node, Function)]


def new_methods(one: Exported) -> list[Exported]:
    """The methods of a class that no class from which it derives documents."""
    told = {m.node.name for base in bases(one) for m in methods(base) if m.doc}
    return [method for method in methods(one) if method.node.name not in told]


CLASSES = [one for one in ALL if isinstance(one.node, ast.ClassDef)]
METHODS = [method for one in CLASSES for method in new_methods(one)]
MAKERS = [maker for one in CLASSES for maker in constructors(one)]


def parameters(one: Exported) -> list[str]:
    """The parameters that a caller writes."""
    args = one.node.args
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    names = [arg.arg for arg in (*every, args.vararg, args.kwarg) if arg is not None]
    return [name for name in names if name not in ("self", "cls")]


def section(doc: str, name: str) -> str | None:
    """The text of a section, or None where there is no such section."""
    found = re.search(rf"^{name}:[ ]*\n((?:[ ]+.*\n|\n)*)", doc + "\n", re.MULTILINE)
    return found and found[1]


def named(text: str | None) -> set[str]:
    """The words before the colons of a section's entries."""
    heads = re.findall(
        r"^    \*{0,2}([\w, *]+?)(?: \(.*?\))?:", text or "", re.MULTILINE
    )
    return {name.strip(" *") for head in heads for name in head.split(",")}


def report(lines: list[str]) -> None:
    """Fail once, with everything that is missing."""
    if lines:
        pytest.fail(
            f"{len(lines)} missing:\n" + "\n".join(sorted(lines)), pytrace=False
        )


def test_the_surface_is_found():
    names = {one.name for one in ALL}
    assert {"cka", "sweep", "Transformer", "compile", "changes", "run"} <= names


SAMPLE = """
def outer(x):
    try:
        _reads(x)
    except OSError as error:
        raise _refusal(x) from error
    return (lambda: _reads(x)) if x else public(x)

def public(x):
    raise TypeError(x)

def _reads(x):
    _reads(x - 1)
    if x:
        raise OSError(x)
    raise KeyError(x)

def _refusal(x) -> ValueError:
    return ValueError(x)
"""


def test_exceptions_are_followed_into_helpers_and_past_handlers(tmp_path):
    file = tmp_path / "sample.py"
    file.write_text(SAMPLE)
    outer = definition(file, "outer")
    assert outer is not None
    assert exceptions(outer) == {"KeyError", "OSError", "ValueError"}
    file = tmp_path / "caught.py"
    file.write_text(SAMPLE.replace("(lambda: _reads(x)) if x else public(x)", "x"))
    outer = definition(file, "outer")
    assert outer is not None
    assert exceptions(outer) == {"KeyError", "ValueError"}


def test_everything_exported_has_a_docstring():
    report([one.place for one in (*ALL, *METHODS) if not one.doc])


def test_two_or_more_parameters_are_described():
    lines = []
    for one in (*FUNCTIONS, *METHODS, *MAKERS):
        told = named(section(one.doc, "Args"))
        missing = [name for name in parameters(one) if name not in told]
        if missing and len(parameters(one)) >= 2:
            lines.append(f"{one.place}: Args: {', '.join(missing)}")
    report(lines)


def test_fields_are_described():
    lines = []
    for one in CLASSES:
        if any(maker.node.name == "__init__" for maker in constructors(one)):
            continue  # what a constructor takes is described, not what it makes of it
        docs = [one.doc, *(base.doc for base in bases(one))]
        told = {
            name
            for doc in docs
            for part in ("Args", "Attributes")
            for name in named(section(doc, part))
        }
        missing = [name for name in fields(one) if name not in told]
        if missing:
            lines.append(f"{one.place}: Attributes: {', '.join(missing)}")
    report(lines)


def test_what_is_raised_is_said():
    lines = []
    for one in (*FUNCTIONS, *METHODS, *MAKERS):
        missing = exceptions(one) - OWN_FAULTS - named(section(one.doc, "Raises"))
        if missing:
            lines.append(f"{one.place}: Raises: {', '.join(sorted(missing))}")
    report(lines)


def test_functions_have_enough_words():
    words = {one.place: len(one.doc.split()) for one in FUNCTIONS}
    mean = sum(words.values()) / len(words)
    if mean < WORDS:
        shortest = sorted(words.items(), key=lambda item: item[1])[:20]
        report([f"{place}: {count} of {WORDS} words" for place, count in shortest])


def test_most_functions_have_an_example():
    without = [one.place for one in FUNCTIONS if ">>>" not in one.doc]
    if len(without) > (1 - EXAMPLES) * len(FUNCTIONS):
        report([f"{place}: Example" for place in without])
