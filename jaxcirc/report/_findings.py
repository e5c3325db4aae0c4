"""What happened, in plain numbers."""

import json
from collections.abc import Callable

import numpy as np
import xarray as xr

from ._changes import change_sentences
from ._llc import (
    STATUSES,
    conformance_sentence,
    grid_sentence,
    solution_sentence,
)
from ._series import head_label, step_text, strongest_head

PASSED = 0.95


def findings(tree: xr.DataTree) -> list[str]:
    """Sentences about a study's results, each with its numbers.

    Steps are those of checkpoints: "first at step 300" means that it holds at the
    checkpoint of step 300 and did not at the one before.
    """
    sentences = []
    for node in tree.children.values():
        dataset = node.to_dataset()
        describe = _DESCRIBE.get(str(dataset.attrs.get("measurement")))
        if describe is not None and (
            dataset.data_vars or "failed" not in dataset.attrs
        ):
            sentences += describe(dataset)
        sentences += _failures(dataset)
    return sentences


def _failures(data: xr.Dataset) -> list[str]:
    failed = json.loads(data.attrs.get("failed", "{}"))
    if not failed:
        return []
    first, reason = next(iter(failed.items()))
    return [
        f"{data.attrs['id']} failed at {len(failed)} checkpoints, first at step "
        f"{step_text(int(first))}: {reason.rstrip('.')}."
    ]


def _performance(data: xr.Dataset) -> list[str]:
    rate, loss = data["rank_0_rate"], data["loss"].mean("seed")
    sentences = []
    for split in ("train", "test"):
        series = rate.sel(split=split)
        end = float(series.isel(step=-1).mean())
        passed = _first_steps(series, lambda x: x >= PASSED)
        when = f"first more than {PASSED:.0%} {_when(passed)}"
        if end < PASSED and float(series.isel(step=0).mean()) >= PASSED:
            lost = _first_steps(series, lambda x: x < PASSED)
            when = f"first less than {PASSED:.0%} {_when(lost)}"
        start, final = (float(loss.sel(split=split).isel(step=i)) for i in (0, -1))
        sentences.append(
            f"On {split} examples the right answer comes first {_percent(end)} of the "
            f"time at the end, and {when}. "
            f"Loss goes from {start:.3g} to {final:.3g} nats."
        )
    train = _first_steps(rate.sel(split="train"), lambda x: x >= PASSED)
    test = _first_steps(rate.sel(split="test"), lambda x: x >= PASSED)
    delays = [b - a for a, b in zip(train, test, strict=True) if a >= 0 and b > a]
    if delays:
        ratio = np.median([b / max(a, 1) for a, b in zip(train, test, strict=True)])
        sentences.append(
            f"Test follows train {step_text(int(np.median(delays)))} steps later, at "
            f"{ratio:.1f} times the step."
        )
    if rate.sizes["step"] < 2:
        return sentences  # nothing can rise with a single checkpoint
    rise = rate.sel(split="test").mean("seed").diff("step")
    # What is finetuned away falls.
    word, turn = ("fall", -rise) if float(rise.sum()) < 0 else ("rise", rise)
    where = int(turn.argmax("step"))
    before, after = (int(rate["step"][where + i]) for i in (0, 1))
    sentences.append(
        f"Right answers on test examples {word} most between the checkpoints of steps "
        f"{step_text(before)} and {step_text(after)}, by "
        f"{_percent(float(turn[where]))}."
    )
    return sentences


def _attention(data: xr.Dataset) -> list[str]:
    sentences = []
    for name, kind in (
        ("induction", "induction"),
        ("previous_token", "previous-token"),
    ):
        layer, head = strongest_head(data[name])
        series = data[name].isel(layer=layer, head=head)
        end, chance = float(series.isel(step=-1).mean()), series.attrs["chance"]
        if lost := _lost_head(data[name], kind, end):
            sentences.append(lost)
            continue
        half = _first_steps(series, lambda x, end=end: x >= end / 2)
        sentences.append(
            f"{head_label(layer, head)} is the strongest {kind} head at the end, with "
            f"a score of {end:.2f} (uniform attention: {chance:.2f}); it first has "
            f"half of that {_when(half)}."
        )
    return sentences


def _lost_head(score: xr.DataArray, kind: str, end: float) -> str | None:
    """A sentence on the strongest head of all checkpoints, if none at the end is as."""
    over = score.mean("seed")
    best = over.argmax(("step", "layer", "head"))
    top = float(over.isel(best))
    if end > top / 2:
        return None
    layer, head = int(best["layer"]), int(best["head"])
    series = over.isel(layer=layer, head=head)
    after = series.isel(step=slice(int(best["step"]), None))
    half = int(after["step"][int((after < top / 2).argmax("step"))])
    return (
        f"{head_label(layer, head)} is the strongest {kind} head, with a score of "
        f"{top:.2f} at step {step_text(int(series['step'][int(best['step'])]))} "
        f"(uniform attention: {score.attrs['chance']:.2f}); it has less than half of "
        f"that from step {step_text(half)}, and {float(series[-1]):.2f} at the end."
    )


def _weights(data: xr.Dataset) -> list[str]:
    total = ((data["norm"] ** 2).sum("part") ** 0.5).mean("seed")
    top = int(total.argmax("step"))
    return [
        f"The norm of all weights together goes from {float(total[0]):.3g} to "
        f"{float(total[-1]):.3g}, and is highest at step "
        f"{step_text(int(total['step'][top]))} with {float(total[top]):.3g}."
    ]


def _llc(data: xr.Dataset) -> list[str]:
    llc, error = data["llc"].mean("seed"), data["standard_error"]
    codes = data["status"].transpose("seed", "step").values
    good = int((codes == STATUSES.index("converged")).sum())
    sentences = []
    if bool(np.isfinite(llc).any()):
        top = int(llc.argmax("step"))
        seeds = data.sizes["seed"]
        end = 2 * float(error.isel(step=-1).mean()) / np.sqrt(seeds)
        sentences.append(
            f"The local learning coefficient is highest at step "
            f"{step_text(int(llc['step'][top]))}, with {float(llc[top]):.3g}, and "
            f"{float(llc[-1]):.3g} ± {end:.2g} at the end."
        )
    others = [
        f"{n} {word.replace('_', ' ')}"
        for i, word in enumerate(STATUSES)
        if word != "converged" and (n := int((codes == i).sum()))
    ]
    rest = f"; the others: {', '.join(others)}" if others else ""
    sentences.append(f"{good} of {codes.size} LLC estimates are converged{rest}.")
    return sentences


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
