"""Studies: one YAML file -> a trained trajectory, measured at every checkpoint."""

from ._changes import (
    Change as Change,
    change_table as change_table,
    changes as changes,
    with_changes as with_changes,
)
from ._check import Checked as Checked, Fault as Fault, check_run as check_run
from ._config import (
    Prepared as Prepared,
    StudyConfig as StudyConfig,
    StudyError as StudyError,
)
from ._listing import LISTINGS as LISTINGS, Listing as Listing
from ._load import load_config as load_config
from ._measurements import (
    MEASUREMENTS as MEASUREMENTS,
    AbstractMeasurement as AbstractMeasurement,
    AlongRun as AlongRun,
    Chunk as Chunk,
    Failure as Failure,
    MeasurementSpec as MeasurementSpec,
    Once as Once,
    Outcome as Outcome,
    PerCheckpoint as PerCheckpoint,
    PerChunk as PerChunk,
    Quantity as Quantity,
    Snapshot as Snapshot,
    Use as Use,
    Used as Used,
    parse_use as parse_use,
)
from ._packaged import PACKAGED as PACKAGED, new_study as new_study
from ._pico_config import Converted as Converted, convert_pico as convert_pico
from ._plan import Plan as Plan, check_memory as check_memory, plan as plan
from ._prepare import prepare as prepare
from ._run import Progress as Progress, run as run
from ._sources import SOURCES as SOURCES, AbstractSource as AbstractSource
from ._store import Study as Study
from ._trackers import (
    TRACKERS as TRACKERS,
    AbstractTracker as AbstractTracker,
    TrackedRun as TrackedRun,
    TrackerSpec as TrackerSpec,
)
from ._tracking import Tracking as Tracking, TrackingWarning as TrackingWarning
