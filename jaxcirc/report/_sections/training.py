"""The loss of every update: it is in the CSV, and is not drawn beside measured loss."""

from .._section import SectionSpec, nothing

SECTION = SectionSpec("training", draw=nothing, measured=False)
