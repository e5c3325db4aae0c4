"""The coefficient of a model that is known to solve the task."""

import numpy as np
import xarray as xr

from .._codes import code_word
from .._estimates import trace_figure
from .._results import once
from .._section import Block, SectionSpec, View


def draw(view: View) -> list[Block]:
    """The solution's chains, below the sentence on what they gave."""
    text = f"{sentence(view.data)} Every draw of each of its chains:"
    return [Block("LLC of the known solution", text, trace_figure(view.data))]


def findings(view: View) -> list[str]:
    """A sentence on the coefficient and its status."""
    return [sentence(view.data)]


def sentence(data: xr.Dataset) -> str:
    """The coefficient with its error, its status and its temperature."""
    last = once(data)
    value, error = float(last["llc"]), 2 * float(last["standard_error"])
    # Chains that all diverged have no number to put into a sentence.
    if np.isnan(value):
        return "Every chain around the model known to solve the task diverged."
    return (
        f"A model known to solve the task has the coefficient {value:.4g} ± {error:.2g}"
        f" ({code_word(last['status'])}), at n_beta {float(last['n_beta']):.4g}."
    )


SECTION = SectionSpec("llc_solution", draw, findings=findings)
