"""Studies: one YAML file -> a trained trajectory, measured at every checkpoint."""

from ._config import (
    StudyConfig as StudyConfig,
    StudyError as StudyError,
    load_config as load_config,
)
from ._measurements import MEASUREMENTS as MEASUREMENTS
from ._packaged import PACKAGED as PACKAGED, TEMPLATE as TEMPLATE
from ._plan import Plan as Plan, plan as plan
from ._run import Progress as Progress, run as run
from ._store import Study as Study
