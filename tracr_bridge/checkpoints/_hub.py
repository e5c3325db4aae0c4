"""The HuggingFace hub: which revisions a model has, and the few files of one."""

import importlib
import os
import re
from collections.abc import Sequence
from typing import Any

from jaxcirc._core import unknown
from jaxcirc.checkpoints import CheckpointError

from ._steps import step_of, steps_of

_SAVED = re.compile(r"Saving HF Model -- Step (\d+)")
_LOCAL = "To work without it, download the folder elsewhere and give its path."


def revisions(repo: str, *, pattern: str | None = None) -> dict[int, str]:
    """Training step -> branch or tag of a model on the HuggingFace hub.

    A step is read off a name such as `step1000`, `step1000-tokens2B` or
    `checkpoint-1000`; names that tell no step are left out. The hub is asked for a list
    of names, and nothing is downloaded.

    Args:
        repo: The hub id, such as `EleutherAI/pythia-70m`.
        pattern: A regular expression that names must contain, such as `^stage1-`; its
            first group, if it has one, is the step.

    Returns:
        The names by step, ascending.

    Raises:
        CheckpointError: the hub has no such model or cannot be reached.
        ImportError: huggingface_hub is not installed.
        ValueError: two branches have one step.
    """
    with _asking(repo, None):
        refs = _hub().HfApi().list_repo_refs(repo)
    names = [ref.name for ref in (*refs.branches, *refs.tags)]
    return steps_of(list(dict.fromkeys(names)), pattern, repo)[0]


def commit_of(repo: str, revision: str, *, cache: str | None = None) -> str:
    """The commit that a branch or tag stands for now, downloading nothing.

    Raises:
        CheckpointError: the hub has no such revision, or cannot be reached and it was
            never downloaded.
    """
    # A commit stands for itself, and costs no question.
    if re.fullmatch("[0-9a-f]{40}", revision):
        return revision
    hub = _hub()
    with _asking(repo, revision):
        try:
            return str(hub.HfApi().model_info(repo, revision=revision).sha)
        except Exception as error:
            if isinstance(error, _answers()) or not _is_transport(error):
                raise
            folder = hub.snapshot_download(
                repo, revision=revision, cache_dir=cache, local_files_only=True
            )
    return os.path.basename(folder)


def commits(repo: str, branch: str) -> dict[int, str]:
    """Training step -> commit of a branch that is overwritten step by step.

    As pico-train pushes them: the title of a commit says the step. Of a step that was
    pushed twice, after a resumption, the newer one counts.

    Raises:
        CheckpointError: the hub has no such model or branch, or cannot be reached.
    """
    with _asking(repo, branch):
        found = _hub().HfApi().list_repo_commits(repo, revision=branch)
    steps: dict[int, str] = {}
    for commit in found:  # newest first
        title = _SAVED.match(commit.title)
        if title:
            steps.setdefault(int(title[1]), commit.commit_id)
    return dict(sorted(steps.items()))


def download(
    repo: str, *, revision: str | None = None, cache: str | None = None
) -> str:
    """A local folder with the files of one revision that loading needs, and no others.

    What is in the cache already is not downloaded again, and what was interrupted goes
    on where it stopped.

    Args:
        repo: The hub id.
        revision: A branch, tag or commit.
        cache: Where downloads go; the hub's usual cache if None.

    Raises:
        CheckpointError: the hub has no such model or revision, or cannot be reached.
    """
    hub = _hub()
    with _asking(repo, revision):
        try:
            wanted = _needed(hub.HfApi().list_repo_files(repo, revision=revision))
            offline = False
        except Exception as error:
            if isinstance(error, _answers()) or not _is_transport(error):
                raise
            # The hub did not answer, but all files may be in the cache.
            wanted, offline = None, True
        return hub.snapshot_download(
            repo,
            revision=revision,
            cache_dir=cache,
            allow_patterns=wanted,
            local_files_only=offline,
        )


def download_file(
    repo: str, name: str, *, revision: str | None = None, cache: str | None = None
) -> str:
    """The path, in the cache, of one file of a revision.

    Args:
        repo: The hub id.
        name: The file's path in the repository.
        revision: A branch, tag or commit.
        cache: Where downloads go; the hub's usual cache if None.

    Raises:
        CheckpointError: the hub has no such file or cannot be reached.
    """
    with _asking(repo, revision):
        return _hub().hf_hub_download(repo, name, revision=revision, cache_dir=cache)


def download_tokenizer(
    repo: str, *, revision: str | None = None, cache: str | None = None
) -> str:
    """A folder with `tokenizer.json`, if the revision has one.

    Raises:
        CheckpointError: the hub cannot be reached.
    """
    with _asking(repo, revision):
        return _hub().snapshot_download(
            repo,
            revision=revision,
            cache_dir=cache,
            allow_patterns=["tokenizer.json"],
        )


def forget(repo: str, folders: Sequence[str], *, cache: str | None = None) -> None:
    """Remove downloaded revisions from the cache, by the folders that `download` gave.

    Files that other revisions share are kept.
    """
    scanned = _hub().scan_cache_dir(cache)
    hashes = {folder.rstrip("/").rsplit("/", 1)[-1] for folder in folders}
    there = {
        revision.commit_hash
        for one in scanned.repos
        if one.repo_id == repo
        for revision in one.revisions
    }
    if hashes & there:
        scanned.delete_revisions(*(hashes & there)).execute()


def _needed(there: Sequence[str]) -> list[str]:
    """config.json and the weights, in the best format that the repository has."""
    # One format is enough where there are several: each has all weights.
    kind = r"pytorch_model[^/]*\.bin"
    if "model.safetensors" in there or "model.safetensors.index.json" in there:
        kind = r"model[^/]*\.safetensors"
    pattern = re.compile(
        rf"config\.json|{kind}(\.index\.json)?|model\.safetensors\.index\.json"
    )
    return [name for name in there if pattern.fullmatch(name)]


class _asking:
    """A context in which what goes wrong on the way to the hub is one clear error."""

    def __init__(self, repo: str, revision: str | None):
        self.repo, self.revision = repo, revision

    def __enter__(self) -> None:
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", self.repo):
            raise CheckpointError(
                f"{self.repo}: no such file or folder, and no hub id (`owner/name`) "
                "either."
            )

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is None:
            return
        errors = _hub().errors
        if isinstance(error, errors.RevisionNotFoundError):
            raise CheckpointError(
                f"{self.repo} has no revision {self.revision!r}. {self._near()}"
            ) from error
        if isinstance(error, errors.GatedRepoError):
            raise CheckpointError(
                f"{self.repo} is gated: accept its terms on its page, then run "
                "`hf auth login`."
            ) from error
        if isinstance(error, errors.RepositoryNotFoundError):
            raise CheckpointError(
                f"{self.repo}: no such folder here, and no such model on the hub (or "
                "it is private: run `hf auth login`)."
            ) from error
        if _is_transport(error):
            raise CheckpointError(
                f"{self.repo}: the hub could not be asked or a download broke off "
                f"({type(error).__name__}). What has arrived is kept; run again to go "
                f"on. {_LOCAL}"
            ) from error

    def _near(self) -> str:
        """A sentence on revisions with names near the one that is not there."""
        try:
            refs = _hub().HfApi().list_repo_refs(self.repo)
        except Exception as error:
            if not _is_transport(error):
                raise
            return ""
        names = [ref.name for ref in (*refs.branches, *refs.tags)]
        step = step_of(str(self.revision))
        steps = {s: name for name in names if (s := step_of(name)) is not None}
        if step is not None and steps:
            near = sorted(steps, key=lambda s: abs(s - step))[:4]
            return f"Near ones are {', '.join(steps[s] for s in near)}."
        return unknown("revision", str(self.revision), names)


def _answers() -> tuple[type[BaseException], ...]:
    """Errors by which the hub says no, as against not being reached."""
    errors = _hub().errors
    return (errors.RepositoryNotFoundError, errors.RevisionNotFoundError)


def _is_transport(error: BaseException) -> bool:
    """Whether the way to the hub failed, whichever library it goes by."""
    errors = _hub().errors
    known = (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError)
    if isinstance(error, (*known, ConnectionError, TimeoutError)):
        return True
    # Versions of the hub's library differ in the one they use, and none is ours.
    libraries = {"httpx", "httpx2", "httpcore", "requests", "urllib3"}
    return any(c.__module__.split(".")[0] in libraries for c in type(error).__mro__)


def _hub() -> Any:
    """The library of the hub.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise ImportError(
            "models on the HuggingFace hub need: pip install 'jaxcirc[hub]'. A local "
            "folder needs nothing more; give its path."
        ) from error
