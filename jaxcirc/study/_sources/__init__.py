"""The catalogue of sources: one file and one row each."""

from . import _published, _run, _train
from ._ready import Ready as Ready
from ._source import AbstractSource as AbstractSource, Cost as Cost
from ._train import Train as Train

# The first is meant where a study names none.
SOURCES = (_train.SPEC, _published.SPEC, _run.SPEC)
