"""Pages beside the report: one for each dictionary whose latents were looked at."""

from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
import xarray as xr

from ._features import feature_page
from ._results import kind_of
from ._sections.sae_latents import SECTION, page_name


@runtime_checkable
class Artefacts(Protocol):
    """What reads the files beside a study's cells, as `study.Study` does."""

    def artefact(self, row: str, step: int | None, name: str) -> Mapping:
        """The arrays of an artefact by name."""
        ...


def feature_pages(tree: xr.DataTree, study: Artefacts) -> Iterator[tuple[str, str]]:
    """The pages that a report links to, as names of files and their contents.

    Args:
        tree: What `jaxcirc.study.Study.open` returns.
        study: What reads its artefacts.

    Returns:
        Pairs of a file's name, to be put beside the report, and a page.

    Raises:
        CheckpointError: an artefact is not what was written.
    """
    for row, node in tree.children.items():
        data = node.to_dataset()
        if kind_of(str(row), data) != SECTION.name or "layer" not in data.coords:
            continue
        words = [str(word) for word in data["token"].values]
        for layer in data["layer"].values:
            arrays = study.artefact(str(row), None, f"layer_{layer}")
            looked = {name: np.asarray(x) for name, x in arrays.items()}
            title = f"{row}, layer {layer}"
            page = feature_page(looked, words, title=title)
            yield page_name(str(row), int(layer)), page
