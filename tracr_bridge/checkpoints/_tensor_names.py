"""Names of tensors, as wrappers of PyTorch, scripts and users have them."""

import collections
import re
from collections.abc import Callable, Iterable, Mapping

from jaxcirc.checkpoints import CheckpointError
from jaxcirc.checkpoints.formats import Tensors

from .families import Rule

# PyTorch itself puts these between the names of modules.
_WRAPPER = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module"
    r"|_forward_module)\."
)


def renamed(tensors: Tensors, names: Mapping[str, str] | None = None) -> Tensors:
    """The tensors by the names that a user says they should have.

    Args:
        tensors: Tensors as the file has them.
        names: Regular expression -> what to put in the place of what it finds, in
            order: `{"^policy[.]": ""}` takes a prefix away.

    Raises:
        CheckpointError: two tensors come to have one name.
        ValueError: a pattern is no regular expression.
    """
    changes = [(compiled(old), new) for old, new in (names or {}).items()]

    def change(name: str) -> str:
        for old, new in changes:
            name = old.sub(new, name)
        return name

    return _by(tensors, change)


def unwrapped(
    tensors: Tensors, rules: Iterable[Rule], prefix: str = "", also: Iterable[str] = ()
) -> Tensors:
    """The tensors without what a wrapper put in front of their names (`module.`).

    It is taken away where names of the rules follow it and more of them do so than
    stand alone; where two prefixes are equally good, nothing is changed.

    Args:
        tensors: Tensors as the file has them.
        rules: The rules that say what names should be.
        prefix: What bare base models leave out in front of those.
        also: Further names that are known.
    """
    plain = _by(tensors, lambda name: _WRAPPER.sub("", name))
    known = _known(rules, prefix, also)
    found: collections.Counter[str] = collections.Counter()
    for name in plain:
        places = [0, *(m.end() for m in re.finditer(r"\.", name))]
        at = next((p for p in places if known.fullmatch(name, p)), None)
        if at is not None:
            found[name[:at]] += 1
    best = found.most_common(2)
    # Two models in one file: neither of them is the one that is meant.
    if not best or (len(best) == 2 and best[0][1] == best[1][1]):
        return plain
    (front, _), *_ = best
    return _by(plain, lambda name: name.removeprefix(front))


def _known(rules: Iterable[Rule], prefix: str, also: Iterable[str]) -> re.Pattern[str]:
    """A pattern of the names that the rules have, with or without the prefix."""
    one = re.escape("{layer}")
    names = [re.escape(r.theirs).replace(one, r"\d+") for r in rules]
    front = re.escape(prefix)
    bare = [name.removeprefix(front) for name in names]
    return re.compile("|".join((*names, *bare, *map(re.escape, also))))


def _by(tensors: Tensors, change: Callable[[str], str]) -> Tensors:
    """The tensors under changed names.

    Raises:
        CheckpointError: two tensors come to have one name.
    """
    names: dict[str, str] = {}
    for old in tensors:
        new = change(old)
        if new in names:
            raise CheckpointError(
                f"{tensors.name}: {names[new]!r} and {old!r} are both {new!r}."
            )
        names[new] = old
    return tensors.renamed(names)


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern as a regular expression.

    Raises:
        ValueError: the pattern is none.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}.") from error
