"""One screen for every error, and the exit code of every end."""

import io
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

# 0 is a run that is complete, every cell included.
FAILED, BAD_INPUT, ROWS_FAILED, INTERRUPTED, TERMINATED = 1, 2, 3, 130, 143


class Terminated(BaseException):
    """The process was asked to end, by SIGTERM."""


def guard(work: Callable[[], object], *, debug: bool) -> None:
    """Run a command's work; on an error print what is wrong and exit with its code.

    Args:
        work: The command.
        debug: Whether to raise errors with their traceback in place of a message.

    Raises:
        SystemExit: the work failed or was stopped.
    """
    speak_any_terminal()
    console = Console(stderr=True)
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        work()
    except KeyboardInterrupt:
        _leave(console, "Stopped. Run the same command again to go on.", INTERRUPTED)
    except Terminated:
        text = "Stopped by SIGTERM. Run the same command again to go on."
        _leave(console, text, TERMINATED)
    except (ValueError, OSError, ImportError) as error:
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
    finally:
        signal.signal(signal.SIGTERM, previous)


def speak_any_terminal() -> None:
    """Let what a terminal has no letters for be printed as well as it can be.

    A finding begins with a bullet; where the locale knows none, the work is done all
    the same, and a question mark stands in its place.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise Terminated


def _describe(error: BaseException) -> str:
    """An error in the words for whoever runs the command, in one screen."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        # Errors of this library name their file; those of the system may not.
        named = error.filename is not None
        text = f"{error.filename}: {error.strerror}" if named else error.strerror
    lines = (text or type(error).__name__).splitlines()
    # One screen: a long list of faults is cut, the first ones count.
    room = max(os.get_terminal_size().lines - 6, 12) if sys.stderr.isatty() else 40
    if len(lines) > room:
        lines = [*lines[:room], f"… and {len(lines) - room} more lines"]
    return "\n".join(lines)


def _leave(console: Console, text: str, code: int) -> NoReturn:
    """Print a message and end the process.

    Raises:
        SystemExit: always.
    """
    panel = Panel(Text(text), title="jaxcirc", title_align="left", border_style="red")
    console.print(panel)
    raise SystemExit(code)
