"""Everything that is wrong with a study is told at once."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Built = TypeVar("Built")


def attempt(build: Callable[[], Built], faults: list[str]) -> Built | None:
    """What a function makes of a study's words, or None if it refuses them.

    Args:
        build: Makes something of what a study says.
        faults: Grows by what it refuses.
    """
    try:
        return build()
    except (ValueError, ImportError, OSError) as error:
        faults.append(str(error))
    except (ArithmeticError, LookupError, TypeError, MemoryError) as error:
        # A value that no check foresaw is still a value of the study.
        faults.append(f"{type(error).__name__}: {error}")
    return None


def list_faults(source: str, faults: Sequence[str]) -> str:
    """One message on all that is wrong.

    Args:
        source: The file or study that is wrong.
        faults: What is wrong; at least one thing.

    Example:
        >>> print(list_faults("tiny.yaml", ["a", "b"]))
        tiny.yaml: 2 things to mend
        a
        b
    """
    if len(faults) == 1:
        return f"{source}: {faults[0]}"
    return "\n".join([f"{source}: {len(faults)} things to mend", *faults])
