"""Text as token ids: what a task needs of a tokenizer, and two that give it."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Tokenizer(Protocol):
    """Text as ids below `size`, and back; tasks take it as an argument.

    Anything with these methods will do. It is compared by identity unless it says
    otherwise, and has to be hashable, since tasks are arguments of compiled programs.
    """

    @property
    def size(self) -> int:
        """How many ids there are; each is below this number."""
        ...

    @property
    def bos(self) -> int | None:
        """The id that stands before every text, or None if nothing does."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without `bos`."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of some ids."""
        ...

    def single_token(self, text: str) -> int:
        """The id of a text that is a single token, blanks included.

        Raises:
            ValueError: it is none, or several.
        """
        ...

    def show(self, token: int) -> str:
        """What a token looks like to a person, with visible white space."""
        ...


@dataclasses.dataclass(frozen=True)
class ByteTokenizer:
    """Every byte of UTF-8 is a token: 256 of them, and none for the beginning.

    Attributes:
        size: Number of tokens, 256.
        bos: None, since nothing stands before a text.

    Example:
        >>> ByteTokenizer().encode("hé")
        [104, 195, 169]
        >>> ByteTokenizer().single_token("h")
        104
    """

    size: int = dataclasses.field(default=256, init=False)
    bos: None = dataclasses.field(default=None, init=False)

    def encode(self, text: str) -> list[int]:
        """The bytes of a text."""
        return list(text.encode())

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of some bytes; what is no UTF-8 becomes a question mark in a box."""
        return bytes(tokens).decode(errors="replace")

    def single_token(self, text: str) -> int:
        """The byte of an ASCII character.

        Raises:
            ValueError: the text has another number of bytes than one.
        """
        return only(self.encode(text), text)

    def show(self, token: int) -> str:
        """A character; white space as a sign, other bytes in hexadecimal."""
        visible = {10: "⏎", 32: "␣", 9: "⇥"}
        plain = chr(token) if 33 <= token < 127 else f"{token:02x}"
        return visible.get(token, plain)


class LibraryTokenizer:
    """A tokenizer of the `tokenizers` library, such as a model's tokenizer.json.

    Args:
        made: A `tokenizers.Tokenizer`.
        bos: The token for the beginning, such as `<|endoftext|>`; what `made` puts
            before every text unless given.

    Raises:
        ValueError: there is no token called `bos`.
    """

    def __init__(self, made: Any, bos: str | None = None):
        self._made = made
        self.size: int = made.get_vocab_size()
        # What the tokenizer makes of an empty text is what it adds to every text.
        added = made.encode("").ids[:1] if bos is None else [made.token_to_id(bos)]
        if added == [None]:
            raise ValueError(f"tokenizer: it has no token {bos!r} for the beginning.")
        self.bos: int | None = added[0] if added else None

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without special ones."""
        return self._made.encode(text, add_special_tokens=False).ids

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of some ids."""
        return self._made.decode(list(tokens))

    def single_token(self, text: str) -> int:
        """The id of a text that is a single token.

        Raises:
            ValueError: it is none, or several.
        """
        return only(self.encode(text), text)

    def show(self, token: int) -> str:
        """The token as it is in the vocabulary, with visible white space."""
        word = self._made.id_to_token(token) or str(token)
        for mark, shown in {"Ġ": "␣", "▁": "␣", "Ċ": "⏎"}.items():
            word = word.replace(mark, shown)
        return word


def find_tokenizer(given: Any) -> Tokenizer:
    """The tokenizer that a study or a user means.

    Args:
        given: `bytes`, the path of a tokenizer.json, a `tokenizers.Tokenizer`, or a
            `Tokenizer`.

    Raises:
        ValueError: it is none of these, or the file cannot be read.
        ImportError: there is a path, and the `tokenizers` library is not installed.
    """
    if isinstance(given, str):
        return ByteTokenizer() if given == "bytes" else _read(given)
    if isinstance(given, Tokenizer):
        return given
    if hasattr(given, "id_to_token"):
        return LibraryTokenizer(given)
    raise ValueError(
        f"text: `tokenizer` is `bytes` or the path of a tokenizer.json; got {given!r}."
    )


def _read(given: str) -> Tokenizer:
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError(
            "text: a tokenizer needs: pip install 'jaxcirc[hub]'. Token ids in a "
            ".npy file (`ids`) need nothing more."
        ) from error
    path = pathlib.Path(given).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
        return LibraryTokenizer(tokenizers.Tokenizer.from_str(text))
    except Exception as error:
        # The library raises plain `Exception`s of whatever it cannot read.
        raise ValueError(f"text: no tokenizer at {given}: {error}") from error


def only(ids: list[int], text: str) -> int:
    """The one id that a text has.

    Args:
        ids: The text's ids.
        text: The text, for the message.

    Raises:
        ValueError: there is another number of them.
    """
    if len(ids) != 1:
        raise ValueError(
            f"tokenizer: {text!r} is {len(ids)} tokens, {ids}, and not a single one. "
            "Choose another word; most vocabularies want a blank before it."
        )
    return ids[0]
