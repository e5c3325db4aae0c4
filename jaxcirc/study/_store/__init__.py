"""The result store: a run's folder, one netCDF file per measurement and step.

study.yaml            what was asked for, to be read and run again
run.json              what decides the weights, what was done when, and where
training/seed_0/…     checkpoints
training/losses.…     the loss of every update
cells/ID/step_N.nc    what a measurement gave at a step
cells/ID/once.nc      what a measurement gave that runs once, for no step
cells/ID/step_N.NAME.safetensors   an artefact of that cell, such as a mask
cells/ID/state.safetensors         where a measurement along the run has come to

Every file knows its own checksum, and every cell what it was measured of. What has
changed since is refused by name, or measured again; it is never shown.
"""

from ._claims import config_hash as config_hash
from ._join import ONCE as ONCE
from ._names import REPORT_FILE as REPORT_FILE, STUDY_FILE as STUDY_FILE, Place as Place
from ._row import RowFolder as RowFolder
from ._study import Study as Study
