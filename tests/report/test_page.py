"""The page is whole whatever the results, their names and their faults."""

import csv
import io
import json
import re

import numpy as np
import pytest
import xarray as xr

from jaxcirc.report import render
from jaxcirc.report._csv import to_csv
from jaxcirc.report._series import MOST_COLUMNS, listing, long_rows, numbers_table

from .test_report import performance
from .test_state import run_of

RATES = {"train": [0.0, 1.0], "test": [0.0, 0.5]}
ODD = ["..", "=1+1", "<!--<script>", "findings", "table", "development", "a b"]


def own(value=1.0, **attrs):
    data = {"rank": (("step", "seed"), np.full((2, 1), value), attrs)}
    return xr.Dataset(data, {"step": [0, 5], "seed": [0]})


def named(names):
    # All that a tree takes: no slashes, and a full stop is the tree itself.
    return {n: own().assign_attrs(measurement="new", id=n) for n in names}


def test_any_names_give_sections_with_ids_of_their_own():
    page = render(run_of(named(ODD)))
    ids = re.findall(r'<(?:section|div|script)[^>]* id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert sum('class="result"' in line for line in page.splitlines()) == len(ODD)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in ids)


def test_no_data_ends_or_hides_a_script_element():
    tree = run_of(named(["<!--<script>", "</script>".replace("/", "")]))
    page = render(tree)
    for script in re.findall(
        r"<script type=.application/json.[^>]*>(.*?)</script>", page
    ):
        assert "<" not in script
        json.loads(script)
    assert page.count("<script") == page.count("</script>")


def test_no_cell_is_a_formula():
    texts = ["=1+1", "+1", "@x", "-x", "\tx", "＝1"]
    rows = list(csv.reader(io.StringIO(to_csv(["=h"], [(t,) for t in texts]))))
    assert [row[0] for row in rows] == ["'=h", *(f"'{t}" for t in texts)]
    numbers = [("-0.5", -1, "1e-05", "nan", "a=b", "")]
    assert to_csv([], numbers).splitlines()[1] == "-0.5,-1,1e-05,nan,a=b,"
    first = {row[0] for row in long_rows(listing(run_of(named(["=1+1"]))))}
    assert first == {"=1+1"}


@pytest.mark.parametrize("names", [["perf"], ["performance"], ["one", "two"]])
def test_the_table_does_not_depend_on_names(names):
    tree = run_of({name: performance(RATES) for name in names})
    table = numbers_table(tree)
    first = "train rank 0 rate"
    assert table.header[1] == (first if len(names) == 1 else f"{names[0]}: {first}")
    assert len(table.header) == 1 + 10 * len(names)
    assert [row[0] for row in table.rows] == [0, 10]
    assert render(tree).count("data-csv=") == 2


def test_a_study_without_performance_has_a_table_of_what_it_has():
    tree = run_of({"a": own(2.0), "b": own(3.0, role="diagnostic")})
    table = numbers_table(tree)
    assert table.header == ["step", "a: rank"]
    assert table.rows == [(0, "2"), (5, "2")]
    assert render(tree).count("data-csv=") == 2


def test_a_wide_table_says_what_it_leaves_out():
    values = np.zeros((2, 1, 50, 3))
    data = xr.Dataset(
        {"score": (("step", "seed", "layer", "head"), values)},
        {"step": [0, 5], "seed": [0], "layer": range(50), "head": range(3)},
    )
    table = numbers_table(run_of({"a": data}))
    assert len(table.header) == 1 + MOST_COLUMNS
    assert table.header[2] == "L0H1 score"
    assert "The first 24 of 150 series; the CSV has all." in table.text


def test_steps_that_were_not_measured_are_empty():
    tree = run_of({"a": own(), "b": own().assign_coords(step=[5, 9])})
    assert numbers_table(tree).rows == [(0, "1", ""), (5, "1", "1"), (9, "", "1")]


def test_results_without_seeds_are_drawn_and_listed():
    tree = run_of({"a": own().isel(seed=0, drop=True)})
    assert "rank" in render(tree)
    assert [row[3] for row in long_rows(listing(tree))] == [0, 0]


def test_a_row_that_failed_everywhere_leaves_the_others():
    attrs = {"measurement": "performance", "id": "performance"}
    failed = json.dumps({"0": "too many examples", "5": "too many examples"})
    nodes = {"performance": xr.Dataset(attrs=attrs | {"failed": failed}), "a": own()}
    page = render(run_of(nodes))
    assert "performance failed at 2 checkpoints, first at step 0: too many" in page
    assert "rank" in page
    assert page.count("data-csv=") == 2


def test_a_section_that_cannot_be_drawn_is_replaced_by_the_reason():
    broken = own().assign_attrs(measurement="weights", id="weights")
    tree = run_of({"weights": broken, "a": own()})
    with pytest.warns(UserWarning, match="cannot be shown"):
        page = render(tree)
    assert "The section on weights cannot be shown (KeyError" in page
    assert "What weights found cannot be shown (KeyError" in page
    assert page.count('class="figure"') == 1
    # Where warnings are errors, as in these tests, the fault itself comes through.
    with pytest.raises(UserWarning):
        render(tree)
