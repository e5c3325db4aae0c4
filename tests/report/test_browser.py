"""The page in a real browser: no errors, no network, and its controls work."""

import json
import pathlib
import shutil
import time

import pytest

from jaxcirc.report import render
from jaxcirc.study import prepare, run

from ..study.conftest import tiny, tiny_file  # noqa: F401

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


@pytest.fixture
def page(tiny, tmp_path):  # noqa: F811
    config = tiny(
        "task={name: induction, n_symbols: 12, n_ctx: 16, shortest: 3, longest: 6}",
        "measure=[{name: performance, n_examples: 8}, attention, patterns, weights, "
        "{name: llc, batch_size: 4, num_draws: 8, num_burnin: 4, n_examples: 8}]",
    )
    path = tmp_path / "report.html"
    path.write_text(render(run(prepare(config)).open()))
    return path


def test_the_page_in_a_browser(browser, page, tmp_path):
    browser.get_log("performance")  # what the browser's own first page asked for
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


def wait_for(condition, seconds: float = 20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the page did not come that far"
        time.sleep(0.05)


def test_the_page_holds_plotly_once(page):
    text = pathlib.Path(page).read_text()
    assert text.count("plotly.js v") == 1
