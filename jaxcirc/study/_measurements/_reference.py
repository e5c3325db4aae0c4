"""What a comparison over training is with."""

from ..._core import unknown
from ._use import Use, parse_use

# A step, one of these words, or another run: `runs/NAME`, `runs/NAME@STEP`.
Reference = int | str | None
_WORDS = ("first", "last", "previous", "all", "layers")
# What a snapshot has at hand, so that nothing else is loaded.
AT_HAND = (None, "previous", "layers")


def described(reference: Reference) -> str:
    """The reference in words, for curves that must be told apart."""
    words = {
        "all": "every checkpoint",
        "layers": "every layer",
        "first": "the first checkpoint",
        "last": "the last checkpoint",
        "previous": "the checkpoint before",
    }
    if isinstance(reference, int):
        return f"step {reference}"
    return words.get(str(reference), str(reference))


def use_of(reference: Reference) -> Use:
    """The models that a reference names.

    Raises:
        ValueError: it names nothing that there can be.
    """
    if isinstance(reference, int):
        return Use("model", reference)
    if reference in ("first", "last", "all"):
        return parse_use(f"model@{reference}")
    text = str(reference)
    if "/" in text or "@" in text:
        return parse_use(text if "/" in text else f"./{text}")
    words = [*_WORDS, "a step", "a run's folder such as runs/NAME@STEP"]
    raise ValueError(unknown("reference", text, words))
