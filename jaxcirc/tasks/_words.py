"""A tokenizer whose tokens are whole words, for worlds without downloads."""

import re
from collections.abc import Iterable, Sequence

from ._tokenizer import only

# A word with the blank before it; two digits, so that years are century and year; a
# line's end with the indentation behind it; any other sign, with the blank before it.
_PIECE = re.compile(r" ?[^\W\d_]+| ?\d{1,2}|\n *| ?[^\w\s]| ?_|\s")


class WordTokenizer:
    """Each word of a given lexicon is one token, together with the blank before it.

    Numbers are cut into pairs of digits, and signs are tokens of their own. Id 0 is
    `<pad>`, which stands for nothing and fills up short prompts.

    Args:
        texts: The lexicon: every piece of these texts becomes a token, in the order of
            the alphabet, so that the same lexicon always has the same ids.

    Attributes:
        size: Number of tokens, `<pad>` included.
        bos: None, since nothing stands before a text.

    Example:
        >>> words = WordTokenizer(["Then Mary left in 1745."])
        >>> [words.show(token) for token in words.encode("Then Mary left in 1745.")]
        ['Then', '␣Mary', '␣left', '␣in', '␣17', '45', '.']
    """

    def __init__(self, texts: Iterable[str]):
        pieces = {piece for text in texts for piece in _PIECE.findall(text)}
        self._pieces = ["<pad>", *sorted(pieces)]
        self._ids = {piece: i for i, piece in enumerate(self._pieces)}
        self.size = len(self._pieces)
        self.bos: int | None = None

    def encode(self, text: str) -> list[int]:
        """The ids of a text's pieces.

        Raises:
            ValueError: a piece is not in the lexicon.
        """
        try:
            return [self._ids[piece] for piece in _PIECE.findall(text)]
        except KeyError as error:
            raise ValueError(
                f"tokenizer: the lexicon does not have {error.args[0]!r}, of {text!r}. "
                "Give a tokenizer that knows it, such as a tokenizer.json."
            ) from error

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of some ids, without `<pad>`."""
        return "".join(self._pieces[token] for token in tokens if token)

    def single_token(self, text: str) -> int:
        """The id of a text that is a single piece.

        Raises:
            ValueError: it is none, several, or not in the lexicon.
        """
        return only(self.encode(text), text)

    def show(self, token: int) -> str:
        """A piece, with a visible blank and line end."""
        return self._pieces[token].replace(" ", "␣").replace("\n", "⏎")
