"""What has no section is drawn by its axes, and a page stays within its budget."""

import base64
import json

import numpy as np
import pytest
import xarray as xr

from jaxcirc.plots import plotly_script
from jaxcirc.report import findings, render
from jaxcirc.report._budget import CSV_BYTES, PAGE_BYTES, Part, within_budget
from jaxcirc.report._frames import MOST_PLACES, frames
from jaxcirc.report._parts import parts
from jaxcirc.report._series import listing, long_rows, numbers_table
from jaxcirc.report._thin import thinned

from .test_state import run_of


def array(dims, sizes, *, steps=3, seeds=1, **attrs):
    shape = ((steps, seeds) if steps else ()) + tuple(sizes)
    lead = ("step", "seed") if steps else ()
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    coords = {"step": 10 * np.arange(steps), "seed": range(seeds)} if steps else {}
    return xr.DataArray(values, coords, (*lead, *dims), attrs=attrs)


def node(**arrays):
    return xr.Dataset(arrays, attrs={"measurement": "new"})


@pytest.mark.parametrize(
    ("dims", "sizes", "ids"),
    [
        ((), (), ["a"]),
        (("place",), (5,), ["a"]),
        (("layer",), (5,), ["a", "a-layers"]),
        (("place",), (40,), ["a-place"]),
        (("layer", "head"), (2, 3), ["a-heads"]),
        (("layer", "kv_head"), (2, 3), ["a-kv_heads"]),
        (("reader", "writer"), (2, 3), ["a-reader-writer"]),
        (("layer", "head", "feature"), (2, 3, 4), ["a-head-feature"]),
        (("rank", "reader", "writer"), (2, 3, 4), ["a-reader-writer-deep"]),
        (
            ("layer", "head", "from_layer", "from_head"),
            (2, 3, 2, 3),
            ["a-head-from_head"],
        ),
        (("layer", "head", "query", "key"), (2, 3, 4, 5), ["a-query-key-deep"]),
    ],
)
@pytest.mark.parametrize("role", ["series", "detail", "diagnostic"])
def test_every_kind_of_axes_is_drawn(dims, sizes, ids, role):
    tree = run_of({"a": node(x=array(dims, sizes, role=role))})
    drawn = parts(tree)
    assert [part.id for part in drawn] == ids
    assert all(part.figure and not part.failed for part in drawn)
    assert numbers_table(tree).rows
    assert list(long_rows(listing(tree)))


def test_what_has_no_value_is_told_and_not_an_empty_frame():
    nothing = array((), ()) * np.nan
    (both,) = parts(run_of({"a": node(x=array((), ()), big_y=nothing)}))
    assert both.figure
    assert "big" not in both.figure
    assert "Without a value at any checkpoint: big y." in both.text
    (none,) = parts(run_of({"a": node(x=nothing)}))
    assert none.figure is None
    assert not none.failed


def test_a_slider_shows_each_step_as_it_was_measured():
    data = array(("reader", "writer"), (2, 3), steps=4, seeds=2)
    made = frames({"x": data}, budget=10**6)
    told = made.explorer
    assert told is not None
    assert told["steps"] == [0, 10, 20, 30]
    levels = np.frombuffer(base64.b64decode(told["values"]), "<u2")
    levels = levels.reshape(1, 4, 2, 3) / (told["missing"] - 1)
    (choice,) = told["choices"]
    found = choice["low"] + levels[0] * (choice["high"] - choice["low"])
    exact = data.mean("seed").values
    # Half a level is the farthest that a number can be from its nearest one.
    half = (choice["high"] - choice["low"]) / (told["missing"] - 1) / 2
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=half)
    np.testing.assert_array_equal(made.figure.data[0].z, exact[-1])


def test_cells_without_a_number_are_missing_and_no_end_of_the_colours():
    data = array(("reader", "writer"), (2, 2), steps=2)
    data[0, 0] = [[np.nan, np.inf], [-np.inf, 1.0]]
    told = frames({"x": data}, budget=10**6).explorer
    assert told is not None
    levels = np.frombuffer(base64.b64decode(told["values"]), "<u2").reshape(2, 4)
    assert (levels == told["missing"]).tolist() == [[True] * 3 + [False], [False] * 4]
    assert (told["choices"][0]["low"], told["choices"][0]["high"]) == (1.0, 7.0)
    json.dumps(told, allow_nan=False)


def test_more_axes_are_choices_at_the_last_step():
    made = frames({"x": array(("rank", "reader", "writer"), (2, 3, 4))}, 10**6)
    assert made.explorer is not None
    assert [c["label"] for c in made.explorer["choices"]] == ["x rank 0", "x rank 1"]
    assert made.explorer["steps"] == [20]
    assert "At step 20." in made.text


def test_a_budget_thins_steps_evenly_and_says_so():
    data = array(("reader", "writer"), (10, 10), steps=8)
    made = frames({"x": data}, budget=1000)
    assert made.explorer is not None
    assert made.explorer["steps"] == [10, 40, 70]
    assert "it holds 3 of 8 checkpoints" in made.text


@pytest.mark.parametrize("number", [1, 7, 100])
@pytest.mark.parametrize("budget", [0, 10, 250, 10**6])
def test_what_is_thinned_fits_and_keeps_the_end(number, budget):
    kept = thinned(number, 10, budget)
    assert kept[-1] == number - 1
    assert len(kept) * 10 <= max(budget, 10)


def test_a_matrix_finer_than_a_screen_is_drawn_as_means():
    sizes = (2, 3 * MOST_PLACES)
    made = frames({"x": array(("reader", "writer"), sizes, steps=1)}, 10**6)
    z = made.figure.data[0].z
    assert np.shape(z) == (2, MOST_PLACES)
    assert z[0][0] == np.mean([0, 1, 2])
    assert "mean of 1 × 3 neighbouring places" in made.text


class Untouched:
    """A file's array whose parts are counted as they are read."""

    def __init__(self, values):
        self.values, self.read = values, 0
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    def __getitem__(self, key):
        got = self.values[key]
        self.read += got.size
        return got


def lazy(array):
    from xarray.backends import BackendArray
    from xarray.core import indexing

    counted = Untouched(array.values)

    class Stored(BackendArray):
        shape, dtype = counted.shape, counted.dtype

        def __getitem__(self, key):
            return indexing.explicit_indexing_adapter(
                key, self.shape, indexing.IndexingSupport.BASIC, counted.__getitem__
            )

    data = indexing.LazilyIndexedArray(Stored())
    variable = xr.Variable(array.dims, data, array.attrs)
    return xr.DataArray(variable, array.coords), counted


def test_of_a_large_detail_only_what_is_shown_is_read():
    dims, sizes = ("rank", "reader", "writer"), (3, 20, 30)
    stored, counted = lazy(array(dims, sizes, steps=10, seeds=1, role="detail"))
    beside = array((), (), steps=10)
    tree = run_of({"a": node(x=stored, y=beside)})
    findings(tree)
    numbers_table(tree)
    list(long_rows(listing(tree)))
    assert counted.read == 0
    assert [part.id for part in parts(tree)] == ["a", "a-reader-writer-deep"]
    # The last of ten steps.
    assert counted.read == np.prod(sizes)


def test_numbers_that_were_measured_once_are_a_table_and_a_map():
    data = node(
        total=array((), (), steps=0, units="nats"),
        by_case=array(("case",), (2,), steps=0),
        similarity=array(("circuit", "other"), (3, 3), steps=0),
    )
    table, picture = parts(run_of({"a": data}))
    assert table.table == (
        ["quantity", "where", "value"],
        [
            ("total", "", "0 nats"),
            ("by case", "case 0", "0"),
            ("by case", "case 1", "1"),
        ],
    )
    assert picture.figure
    assert picture.explorer is None


@pytest.mark.parametrize("role", ["series", "detail"])
def test_edges_at_every_checkpoint_leave_the_page_light(role):
    # As many readers and writers as a two-layer model of 70 heads has.
    data = {
        name: node(score=array(("reader", "writer"), (157, 445), steps=20, role=role))
        for name in ("one", "two", "three")
    }
    page = render(run_of(data))
    own = len(page.encode()) - len(plotly_script().encode())
    assert own < PAGE_BYTES + CSV_BYTES
    # What the page does not hold is said.
    assert "checkpoints; the run&#39;s folder has all." in page
    assert ("score of one" in page) is (role == "series")
    assert page.count('class="figure"') == 3


def test_what_is_too_heavy_goes_and_is_said_sliders_first():
    heavy = Part("a", "A", "Text.", "f" * 50, "e" * 80, "<input>")
    light = Part("b", "B", "Text.", "f" * 20, "e" * 20, "<input>")
    first, second = within_budget([heavy, light], budget=120)
    assert (first.figure, first.explorer, first.controls) == ("f" * 50, None, "")
    assert "The sliders would add 0.0 MB" in first.text
    assert second == light
    (none,) = within_budget([heavy], budget=10)
    assert none.figure is None
    assert none.explorer is None
    assert "The figure would add" in none.text


def test_a_long_table_is_cut_and_says_so():
    rows = [(i,) for i in range(5000)]
    (part,) = within_budget([Part("a", "A", "Text.", table=(["n"], rows))])
    assert part.table is not None
    assert len(part.table[1]) == 1000
    assert part.text.endswith("The table has the first 1,000 of 5,000 rows.")


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (node(x=array((), ())), ["step", "x"]),
        (node(x=array((), (), role="diagnostic")), ["step", "x"]),
        (node(x=array(("rank",), (2,))), ["step", "rank 0 x", "rank 1 x"]),
        (
            node(x=array(("rank",), (2,), role="detail")),
            ["step", "x (least)", "x (mean)", "x (greatest)"],
        ),
        (node(x=array((), (), steps=0)), ["measurement", "quantity", "where", "value"]),
    ],
)
def test_every_study_has_a_table_and_both_files(data, header):
    tree = run_of({"a": data})
    assert numbers_table(tree).header == header
    assert render(tree).count("data-csv=") == 2
