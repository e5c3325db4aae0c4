"""What a function raises, itself or by helpers beside it, read from its source."""

import ast
from collections.abc import Iterable, Iterator, Mapping

from .surface import Exported, Function, parse

EVERYTHING = {"Exception", "BaseException"}


def beside(one: Exported) -> dict[str, Function]:
    """The functions of its module, and its class's methods as `self.name`."""
    body = parse(one.file).body
    found = {node.name: node for node in body if isinstance(node, Function)}
    for node in one.owner.body if one.owner else ():
        if isinstance(node, Function):
            found[f"self.{node.name}"] = node
    return found


def exceptions(one: Exported) -> set[str]:
    """The names of the exceptions that leave a function.

    A private function beside it that it calls is followed, a public one not: that has
    a docstring of its own. `raise _refusal(...)` counts as what `_refusal` returns.
    What is caught and raised again is the exception of another function.
    """
    return set(_leaving(one.node, beside(one), frozenset()))


def _leaving(
    node: ast.AST, functions: Mapping[str, Function], within: frozenset[str]
) -> Iterator[str]:
    """Names of exceptions that leave a part of a function; `within` ends recursion."""
    if isinstance(node, ast.Try):
        caught = set(_caught(node.handlers))
        inside = _all_leaving(node.body, functions, within)
        yield from (name for name in inside if not caught & {name, *EVERYTHING})
        rest = (*node.handlers, *node.orelse, *node.finalbody)
        yield from _all_leaving(rest, functions, within)
        return
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        name = ast.unparse(node.exc.func)
        made = functions[name].returns if name in functions else None
        yield ast.unparse(made) if made else name
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        private = name.removeprefix("self.").startswith("_")
        if private and name in functions and name not in within:
            yield from _leaving(functions[name], functions, within | {name})
    yield from _all_leaving(ast.iter_child_nodes(node), functions, within)


def _all_leaving(
    nodes: Iterable[ast.AST],
    functions: Mapping[str, Function],
    within: frozenset[str],
) -> Iterator[str]:
    for node in nodes:
        yield from _leaving(node, functions, within)


def _caught(handlers: Iterable[ast.ExceptHandler]) -> Iterator[str]:
    """The names that handlers of one `try` catch."""
    for handler in handlers:
        kinds = handler.type
        if kinds is None:
            yield from EVERYTHING
        else:
            every = kinds.elts if isinstance(kinds, ast.Tuple) else [kinds]
            yield from (ast.unparse(kind) for kind in every)
