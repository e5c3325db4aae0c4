import json

import pytest

from jaxcirc._core import dump_record, parse_record, seal, unseal


def flips(data: bytes):
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        yield bytes(changed)


def test_a_seal_gives_back_what_was_sealed_and_nothing_else():
    data = bytes(range(256))
    assert unseal(seal(data)) == data
    for changed in flips(seal(data)):
        with pytest.raises(ValueError, match="checksum|not those"):
            unseal(changed)


def test_what_is_cut_short_is_noticed():
    data = seal(b"some bytes")
    for length in range(len(data)):
        with pytest.raises(ValueError, match="checksum|not those"):
            unseal(data[:length])


def test_no_flip_of_a_record_gives_other_entries():
    entries = {"format": 2, "numbers": [1, 2.5], "text": "größe", "none": None}
    data = dump_record(entries)
    assert parse_record(data, sealed_since=2) == entries
    for changed in flips(data):
        try:
            assert parse_record(changed, sealed_since=2) == entries
        except ValueError:
            continue


def test_records_of_older_formats_are_read_without_a_checksum():
    old = json.dumps({"format": 1, "a": 3}).encode()
    assert parse_record(old, sealed_since=2) == {"format": 1, "a": 3}
    new = json.dumps({"format": 2, "a": 3}).encode()
    with pytest.raises(ValueError, match="not those"):
        parse_record(new, sealed_since=2)


@pytest.mark.parametrize("text", ["", "null", "[1]", "{", "[" * 100_000])
def test_what_is_no_record_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011
        parse_record(text.encode(), sealed_since=2)
