"""Roles of heads: who plays which from when to when, and scores of all heads."""

from typing import NamedTuple

import numpy as np
import xarray as xr

from ..._core import Tenure, tenures
from ...plots import Curve, CurvePanel, Span, span_timeline, step_heatmap
from .._results import by_seed, head_label, join_words, step_text
from .._section import Block, SectionSpec, View

# A head that plays a role leaves it where its strength has fallen below this.
LEAVE = 0.5
# A timeline with more rows than this is longer than a screen.
_MOST_ROWS = 60


class Part(NamedTuple):
    """A head in a role, for a time.

    Args:
        role: Name of the role.
        head: Label of the head.
        time: From when to when.
        strength: The largest strength in it, in thresholds.
    """

    role: str
    head: str
    time: Tenure
    strength: float


def overview(view: View) -> list[CurvePanel]:
    """How many heads play roles, each head once for each of its roles."""
    strength, steps = view.data["strength"], view.data["step"].values
    axes = ("role", "layer", "head")
    # A checkpoint that failed is a gap, and not one without roles.
    plays = (strength >= 1).sum(axes).where(strength.notnull().any(axes))
    curves = [Curve("roles played", steps, by_seed(plays), colour=4)]
    return [CurvePanel("roles played<br>(heads)", curves, None)]


def draw(view: View) -> list[Block]:
    """The times of all roles, and every score of every head."""
    return [*_timeline(view), _map(view)]


def findings(view: View) -> list[str]:
    """For each role, who plays it from when to when, and who takes over."""
    data = view.data
    parts = parts_of(data)
    told = [
        _of_role(role, [part for part in parts if part.role == role])
        for role in map(str, data["role"].values)
    ]
    nobody = [_words(str(r)) for r in data["role"].values if not _has(parts, str(r))]
    sentences = [sentence for sentence in told if sentence]
    if nobody:
        sentences.append(f"No head plays the role {_or(nobody)} at any checkpoint.")
    return [*sentences, *_of_behaviour(data)]


def parts_of(data: xr.Dataset) -> list[Part]:
    """Who plays what from when to when, by role and then by its begin.

    Args:
        data: Results of the measurement. The first seed is looked at: heads of one seed
            are not those of another.
    """
    strength = data["strength"].isel(seed=0)
    strength = strength.transpose("role", "layer", "head", "step")
    steps = data["step"].values
    found = []
    for place, role in enumerate(map(str, data["role"].values)):
        own = []
        for layer, head in np.ndindex(strength.shape[1:3]):
            series = strength.values[place, layer, head]
            for time in tenures(series, steps, leave=LEAVE):
                within = (steps >= time.begin) & (steps <= time.end)
                most = float(np.nanmax(series[within]))
                own.append(Part(role, head_label(layer, head), time, most))
        found += sorted(own, key=lambda part: (part.time.begin, -part.strength))
    return found


def _timeline(view: View) -> list[Block]:
    """Bars and a table of who plays what from when to when."""
    data, parts = view.data, parts_of(view.data)
    if not parts:
        return []
    last = int(data["step"].values[-1])
    strongest = sorted(parts, key=lambda part: -part.strength)[:_MOST_ROWS]
    spans = [
        Span(
            _words(part.role), part.head, part.time.begin, part.time.end,
            part.time.after is not None, _when(part.time),
        )
        for part in parts
        if part in strongest
    ]  # fmt: skip
    text = (
        "A head plays a role from the checkpoint at which its score has gone the "
        "role's threshold of the way from chance to 1, until it falls below "
        f"{LEAVE:g} of that. An open disc is an end. Begins and ends lie between the "
        "two checkpoints that the table gives."
    )
    if data.sizes["seed"] > 1:
        text += " Seed 0; heads of one seed are not those of another."
    if len(parts) > len(spans):
        text += f" The {len(spans)} strongest of {len(parts)}; the table has all."
    figure = span_timeline(spans, [*map(int, data["step"].values), last])
    return [Block("Roles of heads", text, figure, table=_table(parts))]


def _map(view: View) -> Block:
    """Every score of every head over training."""
    data = view.data.isel(seed=0)
    shape = (data.sizes["layer"], data.sizes["head"])
    heads = [head_label(*place) for place in np.ndindex(shape)]
    scores, units = {}, {}
    for role in map(str, data["role"].values):
        flat = data[role].transpose("layer", "head", "step")
        scores[_words(role)] = flat.values.reshape(len(heads), -1)
        units[_words(role)] = f"score; chance {float(data[role].attrs['chance']):.2g}"
    figure = step_heatmap(scores, heads, data["step"].values.tolist(), units)
    text = (
        "Scores of all heads, the role of the menu. Heads that lack what a role asks "
        "for, and all heads while the model does not do the task, are at chance."
    )
    return Block("Scores of roles", text, figure, suffix="-scores")


def _table(parts: list[Part]) -> tuple[list[str], list[tuple]]:
    """Every part with the checkpoints between which it begins and ends."""
    rows = [
        (
            _words(part.role),
            part.head,
            _between(part.time.before, part.time.begin),
            "" if part.time.after is None else _between(part.time.end, part.time.after),
            f"{part.strength:.3g}",
        )
        for part in parts
    ]
    return ["role", "head", "begins", "ends", "strength (thresholds)"], rows


def _of_role(role: str, parts: list[Part]) -> str | None:
    """A sentence on a role: every head's time in it, and who took over from whom."""
    if not parts:
        return None
    told = [f"{part.head} {_when(part.time)}" for part in parts[:4]]
    rest = f", and {len(parts) - 4} more times" * (len(parts) > 4)
    sentence = f"{_words(role).capitalize()}: {'; '.join(told)}{rest}."
    return sentence + _handover(parts)


def _handover(parts: list[Part]) -> str:
    """Who took a role over: who began no sooner than another had lost it."""
    for old in parts:
        if old.time.after is None:
            continue
        later = [p for p in parts if p.time.begin >= old.time.after]
        if later:
            new = min(later, key=lambda part: part.time.begin)
            step = step_text(new.time.begin)
            if new.head == old.head:
                return f" {new.head} has lost it and plays it again from step {step}."
            return (
                f" After {old.head} has lost it, {new.head} plays it from step {step}."
            )
    return ""


def _of_behaviour(data: xr.Dataset) -> list[str]:
    """Whether there is anything to play a role in."""
    behaviour = data["behaviour"].isel(seed=0).values
    error = data["error"].isel(seed=0).values
    told = behaviour > 3 * error
    # Roles that need no task are played without one.
    if told.any() or "ratio_direct" not in data:
        return []
    return [
        "At no checkpoint do the pairs tell the behaviour from none, so roles in it "
        "are at chance."
    ]


def _when(time: Tenure) -> str:
    """From when to when, in words."""
    begin = "from the first checkpoint"
    if time.before is not None:
        begin = f"from step {step_text(time.begin)}"
    if time.after is None:
        return f"{begin} on"
    return f"{begin} to {step_text(time.end)}"


def _between(a: int | None, b: int) -> str:
    """Two checkpoints between which something happened."""
    if a is None:
        return f"by {step_text(b)}"
    return f"{step_text(a)} to {step_text(b)}"


def _words(role: str) -> str:
    return role.replace("_", " ")


def _has(parts: list[Part], role: str) -> bool:
    return any(part.role == role for part in parts)


def _or(words: list[str]) -> str:
    """Words of which none holds, as a list."""
    return join_words(words).replace(" and ", " or ")


SECTION = SectionSpec("head_roles", draw, overview, findings)
