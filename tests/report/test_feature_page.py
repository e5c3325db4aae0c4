"""The page of a dictionary in a real browser, with as many latents as people train."""

import json
import shutil
import time

import numpy as np
import pytest

from jaxcirc.report import feature_page

from .test_browser import browser, wait_for  # noqa: F401

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="needs chromium and chromedriver on PATH",
    ),
]
N, EXAMPLES, POS = 4096, 5, 64


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    acts = np.maximum(rng.normal(size=(N, EXAMPLES, POS)) - 1, 0).astype(np.float32)
    acts[7] = 0
    return {
        "tokens": rng.integers(0, 500, (200, POS)),
        "examples": np.where(acts.max(2) > 0, rng.integers(0, 200, (N, EXAMPLES)), -1),
        "acts": acts,
        "density": rng.random(N) / 10,
        "largest": acts.max((1, 2)),
        "histogram": rng.integers(0, 1000, (N, 20)),
        "promoted": rng.integers(0, 500, (N, 6)),
        "promoted_by": rng.random((N, 6)),
        "suppressed": rng.integers(0, 500, (N, 6)),
        "suppressed_by": -rng.random((N, 6)),
        "near": rng.integers(0, N, (N, 5)),
        "near_cosine": rng.random((N, 5)),
    }


def test_4096_latents_open_without_freezing(browser, features, tmp_path):  # noqa: F811
    words = [f"<b>{i}</b>" for i in range(500)]
    path = tmp_path / "features.html"
    path.write_text(feature_page(features, words, title="planted", about="4,096"))
    assert path.stat().st_size < 16_000_000
    browser.get_log("performance")
    begun = time.monotonic()
    browser.get(path.as_uri())
    ask = browser.execute_script
    wait_for(lambda: ask("return document.querySelectorAll('.example').length") == 5)
    assert time.monotonic() - begun < 10

    # Of the list only what is on the screen is there.
    assert ask("return document.querySelectorAll('#rows button').length") < 100
    assert not [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    events = [
        json.loads(e["message"])["message"] for e in browser.get_log("performance")
    ]
    asked = [
        e["params"]["request"]["url"]
        for e in events
        if e["method"] == "Network.requestWillBeSent"
    ]
    assert all(url.startswith(("file:", "data:")) for url in asked)

    # Tokens are text, whatever they look like, and shaded where the latent fires.
    assert ask("return document.querySelectorAll('.example b').length") == 0
    start = np.clip(features["acts"][0, 0].argmax() - 24, 0, POS - 33)
    shown = features["tokens"][features["examples"][0, 0]][start : start + 33]
    text = ask("return document.querySelector('.example').textContent")
    assert text == "".join(words[i] for i in shown)
    shaded = ask(
        "return [...document.querySelector('.example').children]"
        ".map((w) => w.style.background !== '')"
    )
    assert shaded == (features["acts"][0, 0][start : start + 33] > 0).tolist()

    # Going to one by its number, by order, and by its neighbour.
    title = "return document.querySelector('#card h2').textContent"
    control = (
        "const [find, order] = ['find', 'order']"
        ".map((id) => document.getElementById(id));"
    )
    change = lambda text: ask(f"{control} {text}")
    change("find.value = 4000; find.dispatchEvent(new Event('change'))")
    assert ask(title) == "Latent 4000"
    change("order.value = 'density'; order.dispatchEvent(new Event('change'))")
    assert ask(title) == f"Latent {features['density'].argmax()}"
    ask("document.querySelector('.lists button').click()")
    assert ask(title) == f"Latent {features['near'][features['density'].argmax(), 0]}"
    change("find.value = 7; find.dispatchEvent(new Event('change'))")
    assert "fires on none" in ask("return document.querySelector('#card').textContent")
    taken = change(
        "const t = performance.now(); for (let i = 0; i < 100; i++) {"
        "find.value = i * 40; find.dispatchEvent(new Event('change')); }"
        "return performance.now() - t"
    )
    assert taken < 3000
