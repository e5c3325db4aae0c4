"""Checks of shapes that are made once for a closure's code, not at every `def`."""

import functools
import inspect
import threading
import types
from collections.abc import Callable
from typing import Any


def once_for_code(jaxtyped: Callable[..., Any]) -> Callable[..., Any]:
    """`jaxtyping.jaxtyped`, with a memory for functions that are inside others.

    Such a function is a new one whenever the outer one is called, and its checks were
    written and compiled anew each time, which takes 1.5 ms: most of the time of small
    functions, and much of that of tracing.

    Args:
        jaxtyped: The decorator, which is called with `typechecker`.
    """
    known: dict[Any, tuple[dict[str, Any], Callable]] = {}

    def remembering(*args: Any, **options: Any) -> Any:
        decorate = jaxtyped(*args, **options)
        if args:
            return decorate

        def choose(fn: Any) -> Any:
            if not _is_closure(fn):
                return decorate(fn)
            if not fn.__annotations__:
                return fn  # there is nothing to check
            key = (fn.__code__, options.get("typechecker"))
            annotations, check = known.get(key, (None, None))
            if check is None or annotations != fn.__annotations__:
                check = decorate(_stand_in(fn))
                known[key] = (fn.__annotations__, check)
            return _checked_by(check, fn)

        return choose

    return remembering


def _is_closure(fn: Any) -> bool:
    """Whether it is a function inside another, of which all but the code may change."""
    plain = isinstance(fn, types.FunctionType) and "<locals>" in fn.__qualname__
    # Values by default may differ between closures of the same code.
    return plain and not fn.__defaults__ and not fn.__kwdefaults__


class _Running(threading.local):
    """The functions that are being checked, the innermost last."""

    def __init__(self):
        self.functions: list[Callable] = []


_RUNNING = _Running()


def _stand_in(fn: types.FunctionType) -> types.FunctionType:
    """A function with the annotations of `fn` that calls whichever is being checked."""
    running = _RUNNING

    def call(*args: Any, **kwargs: Any) -> Any:
        return running.functions.pop()(*args, **kwargs)

    # Of `fn` itself nothing is kept, since a closure may hold whole models.
    made = types.FunctionType(
        call.__code__, fn.__globals__, fn.__name__, None, call.__closure__
    )
    made.__qualname__, made.__module__ = fn.__qualname__, fn.__module__
    made.__annotations__ = dict(fn.__annotations__)
    made.__signature__ = inspect.signature(fn)  # pyright: ignore
    return made


def _checked_by(check: Callable, fn: types.FunctionType) -> Callable:
    """`fn`, whose arguments and value are looked at by the checks of its code."""

    @functools.wraps(fn)
    def checked(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        functions = _RUNNING.functions
        depth = len(functions)
        functions.append(fn)
        try:
            return check(*args, **kwargs)
        finally:
            # It is there still where an argument was refused.
            del functions[depth:]

    return checked
