"""What `jaxcirc list` shows."""

import warnings
from collections.abc import Sequence
from typing import Any

from .._core import Catalogue, LeftOut, PluginWarning


def listing() -> tuple[dict[str, Sequence[Any]], tuple[LeftOut, ...]]:
    """Titles and their rows, and what installed packages offer in vain."""
    from ..components import COMPONENTS
    from ..llc import SAMPLERS
    from ..metrics import METRICS
    from ..models import MODELS
    from ..objectives import OBJECTIVES
    from ..saes import ARCHITECTURES, FORMATS
    from ..study import LISTINGS, MEASUREMENTS, PACKAGED, TRACKERS
    from ..tasks import TASKS

    groups: dict[str, Sequence[Any]] = {
        "studies": PACKAGED,
        "tasks": TASKS,
        "models": MODELS,
        "measurements": MEASUREMENTS,
        "metrics": METRICS,
        "components": COMPONENTS,
        "samplers": SAMPLERS,
        "objectives": OBJECTIVES,
        "dictionaries": ARCHITECTURES,
        "formats of dictionaries": FORMATS,
        "trackers": TRACKERS,
    }
    read = [
        rows for rows in (*groups.values(), LISTINGS) if isinstance(rows, Catalogue)
    ]
    with warnings.catch_warnings():
        # Each of them is listed at the end.
        warnings.simplefilter("ignore", PluginWarning)
        left_out = tuple(one for catalogue in read for one in catalogue.left_out)
    return groups | {one.title: one.rows for one in LISTINGS}, left_out
