"""What a row may use: another row's outcome, or a checkpoint, at one step or at all."""

import re
from typing import Literal, NamedTuple

At = int | Literal["same", "first", "last", "all"]
_FORM = re.compile(r"(?P<of>.+?)(?:@(?P<at>[^@]*))?")


class Use(NamedTuple):
    """One thing that a row uses: another row's outcome, or a checkpoint.

    Args:
        of: `model` for the study's own checkpoints, the id of another row, or the
            folder of another run, such as `runs/base`, for its checkpoints.
        at: A step; `first`, `last` or `all` of those that the row which is used has;
            or `same`, the step that is being measured.
    """

    of: str
    at: At = "same"

    @property
    def is_model(self) -> bool:
        """Whether it is a checkpoint, of this run or of another."""
        return self.of == "model" or self.is_run

    @property
    def is_run(self) -> bool:
        """Whether it is a checkpoint of another run."""
        return "/" in self.of

    def __str__(self) -> str:
        return self.of if self.at == "same" else f"{self.of}@{self.at}"


def parse_use(text: str) -> Use:
    """Read what a study says in `uses:`.

    Args:
        text: `ID`, `ID@STEP`, `ID@first`, `ID@last` or `ID@all`, where ID is a row's
            id or `model`; or `runs/NAME`, `runs/NAME@STEP`. What has a slash in it is
            the folder of another run.

    Returns:
        What is used. A row without a step means the step that is being measured, and a
        run's folder its last one.

    Raises:
        ValueError: it has another form.

    Example:
        >>> from jaxcirc.study import parse_use
        >>> parse_use("eap@last")
        Use(of='eap', at='last')
        >>> parse_use("runs/base@100")
        Use(of='runs/base', at=100)
        >>> str(parse_use("eap"))
        'eap'
    """
    found = _FORM.fullmatch(text)
    of, at = (found["of"], found["at"]) if found else (text, "")
    if at is None:
        return Use(of, "last" if "/" in of else "same")
    if at.isdecimal():
        return Use(of, int(at))
    if at not in ("first", "last", "all"):
        raise ValueError(
            f"uses: {text!r} is not of the form ROW, ROW@STEP, ROW@first, ROW@last or "
            "ROW@all, where ROW is the id of another row, `model`, or a run's folder."
        )
    return Use(of, at)
