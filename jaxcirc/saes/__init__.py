"""Sparse dictionaries: how they are trained, how good they are, and how they live."""

from ._density import Firing as Firing, firing as firing
from ._planted import Planted as Planted, Sample as Sample, planted as planted
from ._planted_run import PlantedRun as PlantedRun, planted_run as planted_run
from ._reconstruction import (
    Reconstruction as Reconstruction,
    reconstruction as reconstruction,
)
