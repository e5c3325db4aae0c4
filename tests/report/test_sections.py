"""What holds of every row of the section catalogue."""

import json
import re
import warnings

import numpy as np
import pytest
import xarray as xr

from jaxcirc.report import (
    Block,
    SectionSpec,
    _sections as catalogue_module,
    findings,
    render,
)
from jaxcirc.report._parts import parts
from jaxcirc.report._sections import FALLBACK, SECTIONS, section_of
from jaxcirc.report._series import listing, long_rows, numbers_table
from jaxcirc.report._templates import ASSETS

from .made import KINDS, ONCE, Maker
from .test_state import run_of

# Rows of installed packages bring no tiny results here.
NAMES = [row.name for row in SECTIONS.own]
# Neither draws a block of its own: their numbers are in the overview and in the CSV.
WITHOUT_BLOCKS = ("training", "performance")
MODULES = sorted(ASSETS.parent.glob("*.py"))
SHAPES = {
    "one step": {"steps": 1},
    "one seed": {"steps": 3},
    "several seeds": {"steps": 3, "seeds": 2},
    "not finite": {"steps": 3, "seeds": 2, "bad": True},
}


def tree_of(kind, **shape):
    return run_of({kind: KINDS[kind](Maker(**shape))})


def test_every_row_has_tiny_results_to_be_tested_with():
    assert sorted(NAMES) == sorted(KINDS)
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", NAMES)
def test_a_section_draws_tells_and_lists_whatever_the_numbers(kind, shape):
    # Faults of a section are warnings, and warnings are errors here.
    tree = tree_of(kind, **SHAPES[shape])
    drawn = parts(tree)
    assert not any(part.failed for part in drawn)
    own = [part for part in drawn if part.id != "development"]
    assert bool(own) is (kind not in WITHOUT_BLOCKS)
    for part in drawn:
        assert part.figure or part.table
        assert part.title
        strict = lambda text: json.loads(text, parse_constant=_refuse)
        for text in (part.figure, part.explorer):
            assert text is None or strict(text)
        # Text that a block has is sentences.
        assert not part.text or part.text.rstrip().endswith((".", ":"))
    for sentence in findings(tree):
        assert re.fullmatch(r"[A-Z0-9].* \w.*\.", sentence), sentence
        assert "nan" not in sentence.split()
    assert list(long_rows(listing(tree))) or kind == "changes"


def _refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


@pytest.mark.parametrize("kind", ONCE)
@pytest.mark.parametrize("bad", [False, True])
def test_what_was_measured_once_needs_neither_steps_nor_seeds(kind, bad):
    tree = tree_of(kind, over=False, bad=bad)
    drawn = parts(tree)
    assert drawn
    assert all(part.figure or kind == "sae_latents" for part in drawn)
    findings(tree)
    table = numbers_table(tree)
    assert table.header == ["measurement", "quantity", "where", "value"]
    assert {row[2:4] for row in long_rows(listing(tree))} == {("", "")}


@pytest.mark.parametrize("kind", ONCE)
def test_older_runs_with_steps_and_seeds_show_the_same(kind):
    new = KINDS[kind](Maker(over=False))
    old = new.expand_dims(step=[5], seed=[0])
    figures = [parts(run_of({kind: data}))[0] for data in (new, old)]
    assert figures[0].figure == figures[1].figure
    assert figures[0].table == figures[1].table


@pytest.mark.parametrize("kind", NAMES)
def test_codes_and_results_are_told_apart_by_what_arrays_say(kind):
    node = KINDS[kind](Maker())
    if "status" not in node:
        return
    words = {"flag_values": [0, 1], "flag_meanings": "converged half_way"}
    node["status"].attrs |= words
    page = render(run_of({kind: node}))
    assert "half_way" not in page.split("<script>")[0]
    assert "half way" in page or kind == "llc_conformance"


@pytest.mark.parametrize("name", ["page.html", "page.js", "page.css", "controls.html"])
def test_the_page_knows_no_measurement(name):
    text = (ASSETS / name).read_text()
    assert not [n for n in NAMES if re.search(rf"\b{n}s?\b", text) and n != "training"]


@pytest.mark.parametrize("module", MODULES, ids=lambda p: p.name)
def test_only_sections_know_measurements_by_name(module):
    # `training` is also an entry of a study, with its steps and its batch size.
    names = [name for name in NAMES if name != "training"]
    # An array, which stands between brackets, may be called like its measurement.
    text = module.read_text()
    assert not [name for name in names if re.search(rf'(?<!\[)"{name}"', text)]


def test_explorers_have_controls_and_a_script_that_answers_to_them():
    for row in (*SECTIONS, FALLBACK):
        if row.explorer is None:
            continue
        controls = row.explorer.with_suffix(".html").read_text()
        script = row.explorer.with_suffix(".js").read_text()
        assert f'page.explorer("{row.explorer.stem}"' in script
        for moved in re.findall(r'page\.slider\(section, "(\w+)"', script):
            assert f'slider("{moved}"' in controls


def test_all_sections_together_are_one_page():
    tree = run_of({kind: make(Maker(seeds=2)) for kind, make in KINDS.items()})
    page = render(tree)
    ids = re.findall(r'<(?:section|script)[^>]* id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert page.count('page.explorer("patterns"') == 1
    # What is derived of all comes before what it is derived of.
    assert [part.id for part in parts(tree)][:2] == ["development", "changes"]


def test_a_section_of_ones_own_is_a_file_and_a_row(monkeypatch, tmp_path):
    (tmp_path / "mine.html").write_text("<p class='mine'>{{ data.word }}</p>")
    (tmp_path / "mine.js").write_text("page.explorer('mine', () => {});")

    def draw(view):
        value = float(view.data["sharpness"].mean())
        return [Block("Sharpness", f"It is {value:.1f}.", None, {"word": "<i>"})]

    row = SectionSpec(
        "sharpness",
        draw,
        findings=lambda view: [f"{view.name} was measured."],
        explorer=tmp_path / "mine.py",
    )
    monkeypatch.setattr(catalogue_module, "SECTIONS", (*SECTIONS, row))
    node = xr.Dataset(
        {"sharpness": (("step", "seed"), np.ones((2, 1)))},
        {"step": [0, 1], "seed": [0]},
        {"measurement": "sharpness"},
    )
    tree = run_of({"sharp": node})
    page = render(tree)
    assert "<p>It is 1.0.</p>" in page
    assert "<p class='mine'>&lt;i&gt;</p>" in page
    assert page.count("page.explorer('mine'") == 1
    assert "sharp was measured." in findings(tree)


def test_a_row_without_a_drawing_is_drawn_by_its_axes(monkeypatch):
    row = SectionSpec("plain", findings=lambda view: [f"{view.name} is plain."])
    monkeypatch.setattr(catalogue_module, "SECTIONS", (row,))
    assert section_of("plain").draw is FALLBACK.draw
    assert section_of("never heard of") is FALLBACK


def test_controls_that_are_missing_take_only_their_own_section(monkeypatch, tmp_path):
    row = SectionSpec(
        "broken",
        lambda view: [Block("Broken", explorer={"a": 1})],
        explorer=tmp_path / "nothing.py",
    )
    monkeypatch.setattr(catalogue_module, "SECTIONS", (*SECTIONS, row))
    node = KINDS["weights"](Maker()).assign_attrs(measurement="broken")
    tree = run_of({"broken": node, "weights": KINDS["weights"](Maker())})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        page = render(tree)
    assert "The section on broken cannot be shown (FileNotFoundError" in page
    assert page.count('class="figure"') == 1
