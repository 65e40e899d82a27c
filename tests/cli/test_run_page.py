"""The page of ``pluginkit run --html``, in a real browser: timeline and layers, without a word."""

import random
from pathlib import Path

import numpy as np
import pytest

from pluginkit.cli.run_report import run_page, times_document
from pluginkit.engine.timing.peers import PeerTiming
from pluginkit.engine.timing.timing import LayerTime, TimedRun, Timing, TimingOptions
from tests.browser import Browser

HOSTILE = "</script><img src=x onerror=document.title='broken'>"
COLOURS = {"to-gpu": (179, 107, 0), "compute": (39, 103, 216), "from-gpu": (138, 79, 214)}


def a_page(folder: Path, layers: int = 3) -> Path:
    """Write the page of 40 runs in two streams, of which the second is idle for a while."""
    draw = random.Random(0)  # noqa: S311  # reproducible, not secret
    runs = []
    for stream, start in ((0, 0.0), (1, 12.0)):
        for _ in range(20):
            ends = [start + 0.3, start + 1.4 + draw.random(), start + 3.0]
            runs.append(TimedRun(stream, start, *ends))
            start += 3.0
    times = [
        LayerTime(f"layer_{at}{HOSTILE if at == 1 else ''}", at == 2, (0.1 * (at + 1),) * 20)
        for at in range(layers)
    ]
    y = {"y": np.ones(3, np.float32)}
    timing = Timing(y, tuple(runs), 700.5, 333.3, tuple(times), "cupy")
    how = TimingOptions(20, streams=2, layers=True)
    peers = [PeerTiming("ONNX Runtime 1.2, CPU", (9.0,) * 20, {"y": np.ones(3, np.float32)})]
    document = times_document(timing, how, peers)
    facts = {"Built from": HOSTILE, "GPU": "NVIDIA L4"}
    path = folder / "run.html"
    path.write_text(run_page(folder / "model.plan", facts, document, timing), encoding="utf-8")
    return path


def pixels(browser: Browser, colour: tuple[int, int, int]) -> int:
    count: int = browser.ask(
        "(() => { const c = document.getElementById('timeline'), e = c.cloneNode();"
        "const p = e.getContext('2d', {willReadFrequently: true}); p.drawImage(c, 0, 0);"
        "const d = p.getImageData(0, 0, c.width, c.height).data; let n = 0;"
        "for (let i = 0; i < d.length; i += 4)"
        f"if (d[i] === {colour[0]} && d[i + 1] === {colour[1]} && d[i + 2] === {colour[2]}) n++;"
        "return n; })()"
    )
    return count


def layers(browser: Browser) -> list[str]:
    found: list[str] = browser.ask(
        "[...document.querySelectorAll('#layers tbody tr td:first-child')].map(td => td.innerText)"
    )
    return found


@pytest.mark.browser
def test_the_page_draws_runs_and_sorts_layers(browser: Browser, tmp_path: Path) -> None:
    browser.open(a_page(tmp_path))
    drawn = {part: pixels(browser, colour) for part, colour in COLOURS.items()}
    assert drawn["compute"] > 1.5 * drawn["to-gpu"] > 0
    assert drawn["from-gpu"] > 0
    assert layers(browser) == ["layer_2 (plugin)", f"layer_1{HOSTILE}", "layer_0"]
    assert browser.ask("document.querySelectorAll('tr.plugin').length") == 1
    browser.ask("document.querySelector('#layers th button').click()")
    assert [name[:7] for name in layers(browser)] == ["layer_0", "layer_1", "layer_2"]
    browser.ask("document.querySelector('#filter').value = 'LAYER_2'")
    browser.ask("document.querySelector('#filter').dispatchEvent(new Event('input'))")
    assert layers(browser) == ["layer_2 (plugin)"]
    text = browser.ask("document.body.innerText")
    for said in (
        "ONNX Runtime 1.2, CPU",
        "700.5 in a second",
        "1 of them plugins",
        "50.0%",
        "compute",
    ):
        assert said in text
    assert browser.ask("document.title") == "model.plan"
    assert browser.problems == []
    assert {url.partition(":")[0] for url in browser.requests} <= {"file", "data"}


@pytest.mark.browser
def test_the_timeline_zooms_and_names_a_run(browser: Browser, tmp_path: Path) -> None:
    browser.open(a_page(tmp_path))
    box = browser.ask("JSON.stringify(document.querySelector('#timeline').getBoundingClientRect())")
    left, top = (browser.ask(f"({box}).{side}") for side in ("left", "top"))
    assert browser.ask("document.querySelector('#hovered').textContent") == ""
    browser.click(left + 71, top + 22 + 13)
    said = browser.ask("document.querySelector('#hovered').textContent")
    assert said.startswith("Run 0 of stream 0: 0.300 ms to the GPU")
    whole = pixels(browser, COLOURS["compute"])
    browser.ask("document.querySelector('#timeline').focus()")
    for _ in range(3):
        browser.press("+")
    assert 0 < pixels(browser, COLOURS["compute"]) != whole
    browser.press("0")
    assert pixels(browser, COLOURS["compute"]) == whole
    assert browser.problems == []
