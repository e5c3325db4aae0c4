"""Things that have an order, as tokens."""

from ..tasks import Tokenizer

_CLASSES = {
    "numbers": [str(n) for n in range(1, 201)],
    "number words": "one two three four five six seven eight nine ten eleven twelve "
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty",
    "ordinals": "first second third fourth fifth sixth seventh eighth ninth tenth",
    "days": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "months": "January February March April May June July August September October "
    "November December",
    "letters": " ".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
}


def ordered_classes(tokenizer: Tokenizer, *, at_least: int = 3) -> list[list[int]]:
    """Numbers, days, months and letters as token ids, each class in its order.

    Words are taken with the blank before them, as they stand within a text. A class
    ends before its first word that is not a single token, since what comes behind a gap
    is no successor.

    Args:
        tokenizer: Of the model.
        at_least: Tokens that a class needs to be kept, at least 3.

    Returns:
        Ids of each class that is left; none for a tokenizer that splits every word.

    Example:
        >>> from jaxcirc.circuits import ordered_classes
        >>> from jaxcirc.tasks import ByteTokenizer
        >>> ordered_classes(ByteTokenizer())  # a byte is no word
        []
    """
    found = []
    for words in _CLASSES.values():
        words = words.split() if isinstance(words, str) else words
        tokens = []
        for word in words:
            token = _single(tokenizer, f" {word}")
            if token is None or token in tokens:
                break
            tokens.append(token)
        if len(tokens) >= at_least:
            found.append(tokens)
    return found


def _single(tokenizer: Tokenizer, text: str) -> int | None:
    """The id of a text that is a single token; None if it is not."""
    try:
        return tokenizer.single_token(text)
    except ValueError:
        return None
