"""The tokenizer that lies beside a model."""

import os
from typing import Any

from jaxcirc.checkpoints import CheckpointError

_FILE = "tokenizer.json"
# The largest vocabularies take thirty megabytes.
_MOST_BYTES = 200_000_000


def read_tokenizer(folder: str) -> Any:
    """A `tokenizers.Tokenizer`, if its file is there and the library installed.

    Raises:
        CheckpointError: the file is damaged.
        OSError: it may not be read.
    """
    path = os.path.join(folder, _FILE)
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return None
    if not os.path.isfile(path):
        return None
    if os.path.getsize(path) > _MOST_BYTES:
        raise CheckpointError(f"{path} is larger than any tokenizer; it is damaged.")
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    try:
        return Tokenizer.from_str(text)
    except BaseException as error:
        # A panic of the library is no `Exception`, by its makers' choice.
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
            raise
        raise CheckpointError(
            f"{path} is damaged: {str(error)[:300]}. Copy it again."
        ) from None
