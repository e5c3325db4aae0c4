"""What happened, in plain numbers."""

import functools
import json
from collections import Counter
from collections.abc import Callable

import numpy as np
import xarray as xr

from ._attempt import Failure, attempt
from ._changes import change_sentences
from ._llc import (
    STATUSES,
    conformance_sentence,
    grid_sentence,
    solution_sentence,
)
from ._results import (
    head_label,
    kind_of,
    last_finite,
    prominent_head,
    results,
    step_text,
)
from ._state import non_finite_steps, state_sentences

PASSED = 0.95


def findings(tree: xr.DataTree) -> list[str]:
    """Sentences about a study's results, each with its numbers.

    First come those on the state of the run, if it is not whole. Steps are those of
    checkpoints: "first at step 300" means that it holds at the checkpoint of step 300
    and did not at the one before.
    """
    nodes = results(tree)
    kinds = Counter(kind_of(name, data) for name, data in nodes.items())
    sentences = state_sentences(tree)
    for name, data in nodes.items():
        told = attempt(f"What {name} found", functools.partial(_of_node, name, data))
        told = [told.reason] if isinstance(told, Failure) else told
        # Rows of one kind say the same words of different numbers.
        of = f"{name}: " if kinds[kind_of(name, data)] > 1 else ""
        sentences += [of + sentence for sentence in told]
        sentences += _failures(name, data)
    if not any(data.data_vars for k, data in nodes.items() if k != "training"):
        sentences.append("Nothing has been measured yet.")
    return sentences


def _of_node(name: str, data: xr.Dataset) -> list[str]:
    describe = _DESCRIBE.get(kind_of(name, data))
    told = data.data_vars or "tested" in data.attrs
    return [] if describe is None or not told else describe(data)


def _failures(name: str, data: xr.Dataset) -> list[str]:
    known = set(non_finite_steps(data.attrs))
    failed = {int(k): v for k, v in json.loads(data.attrs.get("failed", "{}")).items()}
    # Weights that are not finite are told once, and not of every row.
    failed = {step: reason for step, reason in failed.items() if step not in known}
    if not failed:
        return []
    first, reason = next(iter(failed.items()))
    number = f"{len(failed)} checkpoint{'s' if len(failed) > 1 else ''}"
    return [
        f"{data.attrs.get('id', name)} failed at {number}, first at step "
        f"{step_text(first)}: {reason.rstrip('.')}."
    ]


def _performance(data: xr.Dataset) -> list[str]:
    # Of logits that are not numbers, no answer comes first.
    rate = data["rank_0_rate"].where(np.isfinite(data["loss"]))
    sentences = []
    for split in ("train", "test"):
        sentences.append(_learnt(rate.sel(split=split), data["loss"].sel(split=split)))
    train = _first_steps(rate.sel(split="train"), lambda x: x >= PASSED)
    test = _first_steps(rate.sel(split="test"), lambda x: x >= PASSED)
    delays = [b - a for a, b in zip(train, test, strict=True) if a >= 0 and b > a]
    if delays:
        ratio = np.median([b / max(a, 1) for a, b in zip(train, test, strict=True)])
        sentences.append(
            f"Test follows train {step_text(int(np.median(delays)))} steps later, at "
            f"{ratio:.1f} times the step."
        )
    return sentences + _steepest(rate.sel(split="test").mean("seed").dropna("step"))


def _learnt(rate: xr.DataArray, loss: xr.DataArray) -> str:
    """How often the right answer comes first, since when, and the loss."""
    split, mean = str(rate["split"].values), loss.mean("seed")
    end = last_finite(mean)
    if end is None:
        return f"On {split} examples the loss is finite at no checkpoint."
    known = mean[np.isfinite(mean)]
    share = float(rate.isel(step=end).mean())
    passed = _first_steps(rate, lambda x: x >= PASSED)
    when = f"first more than {PASSED:.0%} {_when(passed)}"
    if share < PASSED and float(rate.isel(step=0).mean()) >= PASSED:
        lost = _first_steps(rate, lambda x: x < PASSED)
        when = f"first less than {PASSED:.0%} {_when(lost)}"
    return (
        f"On {split} examples the right answer comes first {_percent(share)} of the "
        f"time {_at(loss, end)}, and {when}. "
        f"Loss goes from {float(known[0]):.3g} to {float(known[-1]):.3g} nats."
    )


def _steepest(rate: xr.DataArray) -> list[str]:
    """Between which checkpoints right answers rise most, or what is learnt falls."""
    if rate.sizes["step"] < 2:
        return []  # nothing can rise with a single checkpoint
    rise = rate.diff("step")
    # What is finetuned away falls.
    word, turn = ("fall", -rise) if float(rise.sum()) < 0 else ("rise", rise)
    where = int(turn.argmax("step"))
    before, after = (int(rate["step"][where + i]) for i in (0, 1))
    return [
        f"Right answers on test examples {word} most between the checkpoints of steps "
        f"{step_text(before)} and {step_text(after)}, by "
        f"{_percent(float(turn[where]))}."
    ]


def _attention(data: xr.Dataset) -> list[str]:
    kinds = {"induction": "induction", "previous_token": "previous-token"}
    return [_of_head(data[name], kind) for name, kind in kinds.items()]


def _of_head(score: xr.DataArray, kind: str) -> str:
    """Which head is the strongest, and when it forms or is lost."""
    found = prominent_head(score)
    if np.isnan(found.score):
        return f"No {kind} score is finite."
    series = score.isel(layer=found.layer, head=found.head)
    name, chance = head_label(found.layer, found.head), score.attrs["chance"]
    if found.lost:
        mean = series.mean("seed").dropna("step")
        top = int(series["step"][found.place])
        after = mean.sel(step=slice(top, None))
        half = int(after["step"][int((after < found.score / 2).argmax("step"))])
        return (
            f"{name} is the strongest {kind} head, with a score of {found.score:.2f} "
            f"at step {step_text(top)} (uniform attention: {chance:.2f}); it has less "
            f"than half of that from step {step_text(half)}, and {float(mean[-1]):.2f} "
            "at the end."
        )
    half = _first_steps(series, lambda x: x >= found.score / 2)
    return (
        f"{name} is the strongest {kind} head {_at(series, found.place)}, with a score "
        f"of {found.score:.2f} (uniform attention: {chance:.2f}); it first has half of "
        f"that {_when(half)}."
    )


def _weights(data: xr.Dataset) -> list[str]:
    total = ((data["norm"] ** 2).sum("part", skipna=False) ** 0.5).mean("seed")
    total = total.where(np.isfinite(total)).dropna("step")
    if not total.sizes["step"]:
        return ["The norm of all weights together is finite at no checkpoint."]
    top = int(total.argmax("step"))
    return [
        f"The norm of all weights together goes from {float(total[0]):.3g} to "
        f"{float(total[-1]):.3g}, and is highest at step "
        f"{step_text(int(total['step'][top]))} with {float(total[top]):.3g}."
    ]


def _llc(data: xr.Dataset) -> list[str]:
    codes = data["status"].transpose("seed", "step").values
    good = int((codes == STATUSES.index("converged")).sum())
    others = [
        f"{n} {word.replace('_', ' ')}"
        for i, word in enumerate(STATUSES)
        if word != "converged" and (n := int((codes == i).sum()))
    ]
    rest = f"; the others: {', '.join(others)}" if others else ""
    counted = f"{good} of {codes.size} LLC estimates are converged{rest}."
    mean = data["llc"].mean("seed")
    end = last_finite(mean)
    if end is None:
        return [f"At no checkpoint is there a local learning coefficient. {counted}"]
    top, error = int(mean.argmax("step")), data["standard_error"].isel(step=end)
    seeds = int(np.isfinite(data["llc"].isel(step=end)).sum())
    wide = 2 * float(error.mean()) / np.sqrt(seeds)
    sentence = (
        f"The local learning coefficient is highest at step "
        f"{step_text(int(mean['step'][top]))}, with {float(mean[top]):.3g}, and "
        f"{float(mean[end]):.3g} ± {wide:.2g} {_at(data['llc'], end)}."
    )
    later = mean["step"].values[end + 1 :].tolist()
    if later:
        sentence += f" From step {step_text(later[0])} on, every chain diverged."
    return [sentence, counted]


def _at(series: xr.DataArray, place: int) -> str:
    """When and of which seeds a number is, where it is not the end of all of them."""
    one = series.isel(step=place)
    finite = int(np.isfinite(one).sum())
    last = place == series.sizes["step"] - 1
    when = "at the end"
    if not last:
        step = step_text(int(series["step"][place]))
        when = f"at step {step}, the last with a finite value"
    if finite < one.size:
        when += f" (mean of the {finite} of {one.size} seeds that are finite)"
    return when


_DESCRIBE: dict[str, Callable[[xr.Dataset], list[str]]] = {
    "performance": _performance,
    "attention": _attention,
    "weights": _weights,
    "llc": _llc,
    "llc_grid": lambda data: [grid_sentence(data)],
    "llc_solution": lambda data: [solution_sentence(data)],
    "llc_conformance": lambda data: [conformance_sentence(data)],
    "changes": change_sentences,
}


def _first_steps(series: xr.DataArray, holds: Callable) -> list[int]:
    """Per seed, the first checkpoint at which it holds; -1 if none."""
    steps = series["step"].values
    there = holds(series.transpose("seed", "step").values)
    return [int(steps[row.argmax()]) if row.any() else -1 for row in there]


def _when(steps: list[int]) -> str:
    passed = [s for s in steps if s >= 0]
    if not passed:
        return "at no checkpoint"
    if len(steps) == 1:
        return f"at step {step_text(passed[0])}"
    low, middle, high = (step_text(int(f(passed))) for f in (min, np.median, max))
    who = f"{len(passed)} of {len(steps)} seeds"
    return f"at step {middle} ({who}, {low} to {high})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
