"""The loss between the reference and every checkpoint: is there a barrier?"""

import numpy as np

from ...plots import step_heatmap
from .._results import last_finite, step_text
from .._section import Block, SectionSpec, View


def draw(view: View) -> list[Block]:
    """The loss between the reference and each checkpoint, one column for each."""
    loss = view.data["loss"].mean("seed").transpose("place", "step")
    rows = [f"t = {place}" for place in loss["place"].values]
    steps = loss["step"].values.tolist()
    values, units = {"loss": loss.values}, {"loss": "nats"}
    figure = step_heatmap(values, rows, steps, units, title="place on the line")
    text = (
        "The loss on the straight line of weights from the reference (t = 0) to each "
        "checkpoint (t = 1). A barrier is a place in between whose loss is higher than "
        "what both ends would suggest."
    )
    return [Block("On the line from the reference", text, figure)]


def findings(view: View) -> list[str]:
    """The barrier at the end, beside the losses at both ends."""
    barrier = view.data["barrier"].mean("seed")
    place = last_finite(barrier)
    if place is None:
        return ["The loss on the way from the reference is finite at no checkpoint."]
    step = step_text(int(barrier["step"].values[place]))
    height = float(barrier.values[place])
    losses = view.data["loss"].mean("seed").isel(step=place).transpose("place").values
    ends = ""
    if np.isfinite(losses[[0, -1]]).all():
        ends = f", between losses of {losses[0]:.3g} and {losses[-1]:.3g}"
    if height <= 0:
        return [
            f"From the reference to step {step} the loss stays below the straight "
            f"line{ends}: no barrier lies between the two."
        ]
    return [
        f"On the line from the reference to step {step} the loss rises by {height:.3g} "
        f"nats above the straight line{ends}."
    ]


SECTION = SectionSpec("chord", draw, findings=findings)
