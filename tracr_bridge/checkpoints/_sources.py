"""The ways in which people write where a model is."""

import os
import re
from urllib.parse import unquote, urlsplit

_HUB = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)/?")


def located(source: str | os.PathLike[str]) -> str:
    """A path or a hub id.

    Takes paths with `~`, `file://` addresses and the address of a model's page.

    Raises:
        ValueError: it is empty, or an address of something else.
    """
    text = os.fspath(source)
    if not text:
        raise ValueError("an empty string says no model; give a path or a hub id.")
    # Pasted from a browser, blanks and umlauts are escaped.
    if text.startswith("file://"):
        return unquote(urlsplit(text).path)
    page = _HUB.fullmatch(text)
    if page:
        return page[1]
    if re.match(r"https?://", text):
        raise ValueError(
            f"{text}: of addresses only a model's page on the hub is taken, such as "
            "https://huggingface.co/owner/name; a revision goes into `revision`."
        )
    return os.path.expanduser(text)
