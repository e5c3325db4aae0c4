"""One screen for every error."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130


def guard(work: Callable[[], None], *, debug: bool) -> None:
    """Run `work`; on an error print what is wrong and exit with a code that says so."""
    console = Console(stderr=True)
    try:
        work()
    except KeyboardInterrupt:
        _leave(console, "Stopped. Run the same command again to go on.", INTERRUPTED)
    except (ValueError, OSError) as error:
        if debug:
            raise
        _leave(console, _describe(error), BAD_INPUT)
    except RuntimeError as error:
        if debug:
            raise
        _leave(console, _describe(error), FAILED)
    except Exception as error:
        if debug:
            raise
        text = (
            f"{type(error).__name__}: {error}\nThis is a fault in jaxcirc. Run again "
            "with --debug for the traceback."
        )
        _leave(console, text, FAILED)


def _describe(error: BaseException) -> str:
    text = (
        error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    )
    lines = text.splitlines()
    # One screen: a long list of faults is cut, the first ones count.
    room = max(os.get_terminal_size().lines - 6, 12) if sys.stderr.isatty() else 40
    if len(lines) > room:
        lines = [*lines[:room], f"… and {len(lines) - room} more lines"]
    return "\n".join(lines)


def _leave(console: Console, text: str, code: int) -> NoReturn:
    panel = Panel(Text(text), title="jaxcirc", title_align="left", border_style="red")
    console.print(panel)
    raise SystemExit(code)
