"""The tracker that a study names, checked before anything runs."""

import importlib.util

import fsspec

from .._core import find, is_local
from ._config import StudyConfig, Track
from ._faults import attempt
from ._options import check_options
from ._trackers import TRACKERS


def build_track(config: StudyConfig, faults: list[str]) -> Track | None:
    """The tracker of a study, which has opened nothing yet; None if it names none.

    Args:
        config: The study.
        faults: Grows by what is wrong.
    """
    options = dict(config.track)
    if not options:
        return None
    try:
        spec = find(TRACKERS, str(options.pop("name", "")), kind="tracker")
    except ValueError as error:
        faults.append(f"track.name: {error}")
        return None
    checked, wrong = check_options(spec.build, options, where="track")
    if spec.module and importlib.util.find_spec(spec.module) is None:
        wrong.append(
            f"track: {spec.name} is not installed: pip install '{spec.install}'. Or "
            "leave `track` out; a finished run can be tracked later"
        )
    fs = attempt(lambda: fsspec.core.url_to_fs(config.folder)[0], faults)
    if fs is not None and not is_local(fs) and not checked.get("folder"):
        wrong.append(
            f"track.folder: {spec.name} writes to this machine, and the run is in "
            f"{config.folder}; name a local folder"
        )
    faults += wrong
    built = None if wrong else attempt(lambda: spec.build(**checked), faults)
    return None if built is None else Track(spec.name, built)
