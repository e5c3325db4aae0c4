"""Training steps from the names of branches, folders and files."""

import re
from collections.abc import Sequence

_ENDING = re.compile(r"\.(safetensors|npz|npy|ckpt|bin|pth|pt)$", re.IGNORECASE)
# Words before a number, the surest first: of `epoch-1-step-500` it is 500. A word is
# whole, so that `footstep7` has none.
_WORDS = (
    r"global[-_]?step|step",
    r"iteration|iter|it|update",
    r"checkpoint|ckpt|chkpt",
    r"epoch|ep|round",
    r"model|state|weights",
)
# A number with thousands or a power of ten, and nothing else of a word or a fraction
# behind it; of `model-00001-of-00002` it is a part and no step.
_NUMBER = r"[-_=. ]*(\d+)(k|e\d{1,2})?(?![a-z0-9])(?!-of-\d)(?!\.\d)"
_PATTERNS = tuple(
    re.compile(rf"(?<![a-z])(?:{words}){_NUMBER}", re.IGNORECASE) for words in _WORDS
)
# Training scripts keep these beside the weights, under the same step.
_BESIDE = re.compile(
    r"(?<![a-z])(optim|optimi[sz]er|opt[-_]?states?|scheduler|scaler|trainer[-_]?states?"
    r"|rng|random[-_]?states?)(?![a-z])",
    re.IGNORECASE,
)


def step_of(name: str) -> int | None:
    """The training step that a branch, folder or file is named after, if any.

    Knows `step1000`, `step1000-tokens4B`, `stage1-step1000-tokens3B`,
    `checkpoint-1000`, `ckpt_100`, `global_step_1000`, `epoch=3-step=500.ckpt`,
    `model_20000.pt`, `step_10k`, and plain numbers, with the endings of files. Where an
    epoch is all that a name tells, it is the step.

    Example:
        >>> step_of("epoch-1-step-500"), step_of("100.pth"), step_of("main")
        (500, 100, None)
    """
    stem = _ENDING.sub("", name)
    if re.fullmatch(r"[0-9]{1,18}", stem):
        return int(stem)
    if _BESIDE.search(stem):
        return None
    for pattern in _PATTERNS:
        found = pattern.search(stem)
        if found and len(found[1]) <= 18:
            return int(found[1]) * _times(found[2])
    return None


def _times(suffix: str | None) -> int:
    if suffix is None:
        return 1
    return 1000 if suffix in "kK" else 10 ** int(suffix[1:])


def steps_of(
    names: Sequence[str], pattern: str | None, where: str
) -> tuple[dict[int, str], list[str]]:
    """Step -> name, and the names that have no step.

    Args:
        names: Of branches, folders or files.
        pattern: A regular expression that a name must contain; its first group, if it
            has one, is the step. Names without it are of no concern, nor are those
            of an optimiser's state and its like.
        where: How messages call the place.

    Raises:
        ValueError: two names have one step, the pattern is no regular expression, or
            its group is no number.
    """
    try:
        wanted = re.compile(pattern or "")
    except re.error as error:
        raise ValueError(f"{where}: `pattern` {pattern!r}: {error}.") from error
    found: dict[int, str] = {}
    without = []
    for name in sorted(names):
        match = wanted.search(name)
        if match is None or (_BESIDE.search(name) and not wanted.groups):
            continue
        grouped = match[1] if wanted.groups else None
        if grouped is not None and not re.fullmatch(r"[0-9]{1,18}", grouped):
            raise ValueError(
                f"{where}: `pattern` {pattern!r} takes {grouped!r} of {name!r} for the "
                "step, which is no number."
            )
        step = step_of(name) if grouped is None else int(grouped)
        if step is None:
            without.append(name)
        elif step in found:
            raise ValueError(
                f"{where}: {found[step]!r} and {name!r} both are step {step}. Say "
                "which you mean by `pattern`, a regular expression such as '^stage1-'."
            )
        else:
            found[step] = name
    return dict(sorted(found.items())), without
