"""The catalogue of trackers: one file and one row each."""

from ..._core import Catalogue
from . import _csv, _tensorboard, _wandb
from ._tracker import (
    AbstractTracker as AbstractTracker,
    TrackedRun as TrackedRun,
    TrackerSpec as TrackerSpec,
)

_OWN = (_wandb.SPEC, _tensorboard.SPEC, _csv.SPEC)
TRACKERS = Catalogue("jaxcirc.trackers", _OWN, of=TrackerSpec)
