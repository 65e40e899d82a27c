"""The search's worker runs where pages are opened from a folder, in which browsers start none."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Browser

pytestmark = pytest.mark.browser

SHIM = Path(__file__).parents[2] / "docs" / "assets" / "iframe-worker.js"
WORKER = """
self.addEventListener("message", async ({ data }) => {
  await importScripts("one.js", "two.js");
  postMessage({ asked: data, answer: one + two });
});
"""
PAGE = """<!DOCTYPE html><body><script src="iframe-worker.js"></script><script>
const worker = new Worker("worker.js");
worker.onmessage = ({ data }) => {
  document.body.dataset.said = JSON.stringify(data);
  worker.terminate();
};
worker.postMessage("what");
document.body.dataset.ready = "yes";
</script></body>
"""


def test_a_worker_answers_in_a_page_of_a_folder(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "worker.js").write_text(WORKER)
    (tmp_path / "one.js").write_text("var one = 40;")
    (tmp_path / "two.js").write_text("var two = one / 20;")
    (tmp_path / SHIM.name).write_text(SHIM.read_text())
    (tmp_path / "page.html").write_text(PAGE)
    browser.open(tmp_path / "page.html")
    browser.until("document.body.dataset.said")
    said: dict[str, Any] = json.loads(browser.ask("document.body.dataset.said"))
    assert said == {"asked": "what", "answer": 42}
    assert browser.ask("document.querySelectorAll('iframe').length") == 0
    assert browser.problems == []
