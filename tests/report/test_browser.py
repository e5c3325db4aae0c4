"""The page in a real browser: no errors, no network, and its controls work."""

import json
import pathlib
import shutil
import time

import numpy as np
import pytest
import xarray as xr

from jaxcirc.report import render
from jaxcirc.study import load_config, prepare, run

from ..study.conftest import TINY
from .test_state import run_of

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver on PATH"
    ),
]


@pytest.fixture
def browser(tmp_path):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,900",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(flag)
    (tmp_path / "down").mkdir()
    options.add_experimental_option(
        "prefs", {"download.default_directory": str(tmp_path / "down")}
    )
    options.set_capability(
        "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
    )
    service = webdriver.ChromeService(executable_path=DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    here = tmp_path_factory.mktemp("page")
    (here / "tiny.yaml").write_text(TINY)
    options = [
        f"out={here / 'run'}",
        "task={name: induction, n_symbols: 12, n_ctx: 16, shortest: 3, longest: 6}",
        "measure=[{name: performance, n_examples: 8}, attention, patterns, weights, "
        "{name: llc, batch_size: 4, num_draws: 8, num_burnin: 4, n_examples: 8}]",
    ]
    path = here / "report.html"
    config = load_config(str(here / "tiny.yaml"), options)
    path.write_text(render(run(prepare(config)).open()))
    return path


def test_the_page_in_a_browser(browser, page, tmp_path):
    browser.get("about:blank")  # ends what the browser's own first page still asks for
    browser.get_log("performance")
    browser.get(page.as_uri())
    drawn = "return document.querySelectorAll('.figure .main-svg').length"
    wait_for(lambda: browser.execute_script(drawn) >= 4)

    # No error on the console, and nothing asked of any network.
    errors = [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    assert not errors
    events = [
        json.loads(e["message"])["message"] for e in browser.get_log("performance")
    ]
    asked = {
        event["params"]["request"]["url"].split(":", 1)[0]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert asked <= {"file", "data", "blob"}

    # A slider changes the picture and says what it shows.
    shown = "return document.querySelector('#patterns .figure').data[0].z[3]"
    before = browser.execute_script(shown)
    move = """
        const slider = document.querySelector('#patterns input.step');
        slider.value = 0;
        slider.dispatchEvent(new Event('input'));
        return slider.previousElementSibling.textContent;
    """
    assert browser.execute_script(move) == "0"
    after = browser.execute_script(shown)
    assert after != before
    assert sum(after) == pytest.approx(1, abs=0.05)

    # A click on the curves shows the chains of that checkpoint, as the slider does.
    chain = "return document.querySelector('#llc .figure').data[0].y"
    last = browser.execute_script(chain)
    click = """
        const curves = document.querySelector('#development .figure');
        curves.emit('plotly_click', { points: [{ x: 0.4 }] });
        return document.querySelector('#llc input.step').value;
    """
    assert browser.execute_script(click) == "0"
    assert browser.execute_script(chain) != last
    said = "return document.querySelector('#llc .sentence').textContent"
    assert "split R-hat" in browser.execute_script(said)

    # The table downloads as CSV.
    browser.find_element("css selector", "button[data-csv='table-csv']").click()
    file = tmp_path / "down" / "tiny-table.csv"
    wait_for(file.exists)
    lines = file.read_text().splitlines()
    assert lines[0].startswith("step,train loss") or "train loss" in lines[0]
    assert len(lines) == 1 + 5

    # A narrow window does not scroll sideways.
    browser.set_window_size(500, 900)
    wide = "return document.documentElement.scrollWidth - window.innerWidth"
    wait_for(lambda: browser.execute_script(wide) <= 0)


def test_odd_names_are_shown_and_not_run(browser, tmp_path):
    odd = '<!--<script>window.hit=1</script><img src=x onerror="window.hit=1">'
    tokens = [f"{i} {odd}" for i in range(3)]
    values = np.full((2, 1, 1, 1, 3, 3), 1 / 3)
    dims = ("step", "seed", "layer", "head", "query_pos", "key_pos")
    coords = {"step": [0, 5], "seed": [0], "query_pos": tokens, "key_pos": tokens}
    patterns = xr.Dataset(
        {"pattern": (dims, values)}, coords, {"measurement": "patterns", "id": "x"}
    )
    bold = "<b>bold <a href='javascript:window.hit=1'>link"
    own = xr.Dataset(
        {f"rank:{bold}": (("step", "seed"), np.ones((2, 1)))},
        {"step": [0, 5], "seed": [0]},
        {"measurement": odd, "id": odd},
    )
    # A tree's names hold no slashes; labels, ids and texts do.
    tree = xr.DataTree.from_dict({"explorers": patterns, odd.replace("/", ""): own})
    study = {"name": odd, "about": odd, "model": {"family": odd}}
    training = {"steps": 0, "batch_size": None, "seed": 0, "seeds": 1}
    training |= {"optimizer": odd, "learning_rate": 1.0}
    identity = {"training": training, "model": {odd: odd}}
    tree.attrs = {"study": json.dumps(study), "identity": json.dumps(identity)}
    path = tmp_path / "odd.html"
    path.write_text(render(tree))
    browser.get(path.as_uri())
    drawn = "return document.querySelectorAll('.figure .main-svg').length"
    wait_for(lambda: browser.execute_script(drawn) >= 2)
    assert not [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    assert browser.execute_script("return window.hit") is None
    assert browser.execute_script("return document.querySelectorAll('img').length") == 0
    assert (
        browser.execute_script("return document.querySelector('h1').innerText") == odd
    )
    text = "return document.querySelectorAll('.figure')[%d].textContent"
    assert odd in browser.execute_script(text % 0)
    assert bold in browser.execute_script(text % 1)
    links = "return document.querySelectorAll('.figure svg a[href]').length"
    assert browser.execute_script(links) == 0


def test_sliders_over_matrices_show_what_was_measured(browser, tmp_path):
    values = np.arange(48, dtype=np.float32).reshape(2, 2, 1, 3, 4)
    dims = ("step", "seed", "reader", "writer")
    scores = {k: (dims, v, {"units": k}) for k, v in zip("ab", values, strict=True)}
    coords = {"step": [0, 5], "seed": [0]}
    path = tmp_path / "maps.html"
    path.write_text(render(run_of({"edges": xr.Dataset(scores, coords)})))
    browser.get(path.as_uri())
    drawn = "return document.querySelectorAll('.figure .main-svg').length"
    wait_for(lambda: browser.execute_script(drawn) >= 1)
    move = """
        const places = { step: arguments[0], choice: arguments[1] };
        for (const [name, place] of Object.entries(places)) {
          const slider = document.querySelector(`#edges-reader-writer input.${name}`);
          slider.value = place;
          slider.dispatchEvent(new Event('input'));
        }
        return document.querySelector('.figure').data[0].z;
    """
    for choice in (0, 1):
        for step in (0, 1):
            shown = browser.execute_script(move, step, choice)
            exact = values[choice, step, 0]
            # A step of the sixteen bits between the ends of a choice.
            level = np.ptp(values[choice]) / (2**16 - 2)
            np.testing.assert_allclose(shown, exact, atol=level)
    said = "return document.querySelector('.figure').data[0].colorbar.title.text"
    assert browser.execute_script(said) == "b"
    assert not [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]


def wait_for(condition, seconds: float = 20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the page did not come that far"
        time.sleep(0.05)


def test_the_page_holds_plotly_once(page):
    text = pathlib.Path(page).read_text()
    assert text.count("plotly.js v") == 1
