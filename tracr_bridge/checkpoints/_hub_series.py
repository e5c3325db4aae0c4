"""Training runs on the HuggingFace hub: one revision for each checkpoint."""

import collections
import functools
import os
from collections.abc import Mapping
from typing import Any

from jaxcirc.models import Transformer, TransformerConfig

from . import _hub
from ._pretrained import CONFIG
from ._series import Reading, Series
from ._tokenizer import read_tokenizer


def hub_series(
    repo: str,
    given: Mapping[int, str] | None,
    pattern: str | None,
    branch: str | None,
    reading: Reading,
    cache: str | None,
    keep: int | None,
) -> Series:
    """The checkpoints of a run on the hub, downloaded as they are read.

    Args:
        repo: Its hub id.
        given: Step -> revision, where the user says them.
        pattern: What the names of revisions must contain.
        branch: The branch whose commits are the checkpoints, if they are no branches.
        reading: How weights become models.
        cache: Where downloads go.
        keep: Downloads to keep at most; all if None.

    Raises:
        CheckpointError: the hub has no such model or cannot be reached.
        ValueError: two revisions have one step.
    """
    names = given
    if names is None and branch is not None:
        names = _hub.commits(repo, branch)
    if names is None:
        names = _hub.revisions(repo, pattern=pattern)
    on_disk: collections.deque[str] = collections.deque()

    def read(name: str) -> Transformer:
        folder = _hub.download(repo, revision=name, cache=cache)
        if folder not in on_disk:
            on_disk.append(folder)
        model = reading.folder(folder).read()
        # The oldest goes: in order of steps it is the last to be asked for again.
        while keep is not None and len(on_disk) > keep:
            _hub.forget(repo, [on_disk.popleft()], cache=cache)
        return model

    def config(name: str) -> TransformerConfig:
        file = _hub.download_file(repo, CONFIG, revision=name, cache=cache)
        return reading.folder(os.path.dirname(file)).config

    def tokenizer(name: str) -> Any:
        folder = _hub.download_tokenizer(repo, revision=name, cache=cache)
        return read_tokenizer(folder)

    commit = functools.partial(_hub.commit_of, repo, cache=cache)
    return Series(names, read, config, tokenizer, commit)
