"""Updates since the reference: where they are largest, and what is new in them."""

import numpy as np

from ...plots import step_heatmap
from .._results import head_label, step_text
from .._section import Block, SectionSpec, View

_SHOWN = ("size", "effective_rank", "stable_rank", "intruders")


def draw(view: View) -> list[Block]:
    """Numbers of every matrix, and sizes of every head's update, over training."""
    data = view.data.mean("seed")
    steps = data["step"].values.tolist()
    matrices = [str(name) for name in data["matrix"].values]
    words = {name: name.replace("_", " ") for name in _SHOWN}
    values = {w: data[k].transpose("matrix", "step").values for k, w in words.items()}
    units = {w: str(view.data[k].attrs.get("units", "")) for k, w in words.items()}
    figure = step_heatmap(values, matrices, steps, units, title="matrix")
    heads = data["head_size"].transpose("layer", "head", "step").values
    names = [head_label(*place) for place in np.ndindex(heads.shape[:2])]
    flat = {"size": heads.reshape(len(names), -1)}
    text = (
        "What has been added to each matrix since the reference: its length relative "
        "to the matrix, in how many directions it is, and how many of the new matrix's "
        "main directions are like none of the old one's beyond chance (intruders). The "
        "buttons change the number."
    )
    of_heads = "Length of the update of each head's weights, relative to the weights."
    return [
        Block("Updates", text, figure),
        Block(
            "Updates by head",
            of_heads,
            step_heatmap(flat, names, steps, {"size": ""}),
            suffix="-heads",
        ),
    ]


def findings(view: View) -> list[str]:
    """The matrix that has moved most at the end, its rank, and all intruders."""
    size = view.data["size"].mean("seed").transpose("step", "matrix")
    known = np.flatnonzero(np.isfinite(size.values).any(axis=1))
    if not len(known):
        return ["No update has a finite size."]
    last = view.data.isel(step=int(known[-1])).mean("seed")
    sizes = last["size"].values
    top = int(np.where(np.isfinite(sizes), sizes, -np.inf).argmax())
    step = step_text(int(last["step"]))
    told = (
        f"At step {step} {last['matrix'].values[top]} has moved most, by "
        f"{sizes[top]:.2g} of its length"
    )
    rank = float(last["effective_rank"].values[top])
    if np.isfinite(rank):
        told += f", in {rank:.1f} directions (effective rank)"
    intruders = last["intruders"].values
    if not np.isfinite(intruders).all():
        return [f"{told}."]
    many = int((intruders > 0).sum())
    where = f" in {many} of {len(intruders)} matrices" if many else ""
    return [f"{told}; {intruders.sum():.0f} main directions are new{where}."]


SECTION = SectionSpec("updates", draw, findings=findings)
