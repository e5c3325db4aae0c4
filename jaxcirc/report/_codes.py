"""Coded arrays in words: what 0, 1 and 2 stand for is said by the array itself."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

# A code without a meaning, and what is not a code at all.
UNKNOWN = "unknown"


def meanings(attrs: Mapping[Any, Any]) -> dict[int, str]:
    """Code -> word, in the order of the array's attributes.

    They are the attributes `flag_values` and `flag_meanings` of the CF conventions
    (section 3.5): numbers, and as many words set apart by blanks. Files of older runs
    say the same in `long_name`.

    Args:
        attrs: Of the array.

    Returns:
        The words, with blanks for underscores; none where the array has no codes.

    Example:
        >>> meanings({"flag_values": [0, 1], "flag_meanings": "converged non_local"})
        {0: 'converged', 1: 'non local'}
        >>> meanings({"long_name": "-1 not run, 0 converged"})
        {-1: 'not run', 0: 'converged'}
    """
    if "flag_values" in attrs:
        # One code alone comes back from a file as a plain number.
        codes = np.atleast_1d(attrs["flag_values"]).tolist()
        words = str(attrs.get("flag_meanings", "")).split()
        return {int(c): _words(w) for c, w in zip(codes, words, strict=False)}
    told = re.findall(r"(?:^|, )(-?\d+) ([^,]+)", str(attrs.get("long_name", "")))
    return {int(code): _words(word) for code, word in told}


def code_words(array: xr.DataArray) -> np.ndarray:
    """The word of every code.

    Args:
        array: Of numbers that stand for words; see `meanings`.

    Returns:
        An array of its shape that holds text, `unknown` where a number has no word.
    """
    known = meanings(array.attrs)
    codes = np.asarray(array.values, float)
    found = np.full(codes.shape, UNKNOWN, object)
    for code, word in known.items():
        found[codes == code] = word
    return found


def code_word(array: xr.DataArray) -> str:
    """The word of a single code."""
    return str(code_words(array)[()])


def _words(text: str) -> str:
    """A word of an attribute as it is read on a page."""
    return text.strip().replace("_", " ")
