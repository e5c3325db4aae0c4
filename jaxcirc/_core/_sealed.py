"""Files that know when they have been changed: a checksum inside what is written.

A flipped bit in a result is another result. Binary files carry their checksum behind
their last byte, where netCDF and HDF5 readers do not look; JSON records carry it as one
more entry.
"""

import hashlib
import json
from typing import Any

_MAGIC = b"\njaxcirc:blake2b:"
_DIGEST = 12
_TRAILER = len(_MAGIC) + 2 * _DIGEST
CHECKSUM = "checksum"


def digest(data: bytes | memoryview) -> str:
    """A short name for some bytes: 96 bits of BLAKE2b, as 24 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=_DIGEST).hexdigest()


def digest_of(value: Any) -> str:
    """A short name for anything that JSON can write, whatever the order of its keys."""
    return digest(json.dumps(value, sort_keys=True).encode())


def seal(data: bytes | memoryview) -> bytes:
    """The bytes with their checksum behind them."""
    return bytes(data) + _MAGIC + digest(data).encode()


def unseal(data: bytes) -> bytes:
    """The bytes that `seal` was given.

    Raises:
        ValueError: the bytes are not those that were sealed, or have no seal.
    """
    body, trailer = data[:-_TRAILER], data[-_TRAILER:]
    if not trailer.startswith(_MAGIC):
        raise ValueError("it has no checksum at its end")
    if trailer[len(_MAGIC) :] != digest(body).encode():
        raise ValueError("its bytes are not those that were written")
    return body


def is_sealed(data: bytes) -> bool:
    """Whether there is a seal at the end, right or wrong."""
    return data[-_TRAILER:].startswith(_MAGIC)


def seal_of(data: bytes) -> str:
    """The checksum that sealed bytes say they have; empty if they have none."""
    return data[-2 * _DIGEST :].decode() if is_sealed(data) else ""


def seal_page(html: str) -> bytes:
    """An HTML page with its checksum in a comment at its end."""
    data = html.encode()
    return data + b"\n<!--" + _MAGIC.strip() + digest(data).encode() + b"-->\n"


def check_page(data: bytes) -> None:
    """Compare a page with the checksum that `seal_page` gave it.

    Raises:
        ValueError: it is not what was written, or has no checksum.
    """
    body, mark, rest = data.rpartition(b"\n<!--" + _MAGIC.strip())
    if not mark or rest != digest(body).encode() + b"-->\n":
        raise ValueError("it is not the page that was written")


def dump_record(entries: dict[str, Any]) -> bytes:
    """A JSON record with its checksum, which `parse_record` reads."""
    # Through JSON and back: a tuple or a whole number as key reads as something else.
    plain = json.loads(json.dumps(entries))
    return json.dumps(plain | {CHECKSUM: digest_of(plain)}, indent=1).encode()


def parse_record(data: bytes, *, sealed_since: int) -> dict:
    """The entries of a JSON record, without its checksum.

    Args:
        data: What `dump_record` gave, or a record of an older format.
        sealed_since: First value of the entry `format` whose records have a checksum;
            a record without that entry counts as 1.

    Raises:
        ValueError: it is no JSON mapping, its checksum is not that of its entries, or
            it lacks one that its format has.
    """
    try:
        entries = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(entries, dict):
        raise ValueError("it holds no mapping")
    told = entries.pop(CHECKSUM, None)
    number = entries.get("format", 1)
    # Of a newer record, a missing checksum is a change: an edit could drop it.
    if told is None and isinstance(number, int) and number < sealed_since:
        return entries
    if told != digest_of(entries):
        raise ValueError("its entries are not those that were written")
    return entries
