"""The README's terminal recording shows what its commands print, and can be read without moving."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Browser
from tests.docs.pages import assert_prints, blocks_of

ROOT = Path(__file__).parents[2]
PICTURE = (ROOT / "docs" / "pictures" / "recording.svg").read_text()
#: What differs from run to run, and from TensorRT to TensorRT.
VARIES = re.compile(r"in [\d.]+ s|tensorrt_rtx [\d.]+|\([\d.]+ [KM]iB\)")


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "hooks"))
    return importlib.import_module("draw_recording")


def test_the_picture_is_drawn_from_its_lines(recording: Any) -> None:
    lines = recording.lines_of(PICTURE)
    assert [line for line in lines if line.startswith("$ ")] == [
        f"$ {command}" for command in recording.COMMANDS
    ]
    assert recording.recording_svg(lines) == PICTURE, "draw it again: docs/hooks/draw_recording.py"


def test_it_shows_the_output_of_the_readmes_first_command(recording: Any) -> None:
    readme = (ROOT / "README.md").read_text()
    assert recording.COMMANDS[-1] in readme
    block = next(each for each in blocks_of(ROOT / "README.md") if each.language == "text")
    shown = " ".join(recording.lines_of(PICTURE)[-2:])
    first, *_, last = VARIES.sub("...", block.text).splitlines()
    assert_prints(f"{first}\n{last}", "\n".join([*recording.lines_of(PICTURE), shown]))


@pytest.mark.slow
@pytest.mark.trt
def test_the_commands_still_print_it(recording: Any) -> None:
    printed, shown = (
        VARIES.sub("...", " ".join(lines)).split()
        for lines in (recording.transcript(), recording.lines_of(PICTURE))
    )
    assert len(shown) > 100
    assert printed == shown, "record it again: docs/hooks/draw_recording.py"


def test_it_loads_nothing(recording: Any) -> None:
    assert re.findall(r"https?://[^\"]*", PICTURE) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<(script|image|use|foreignObject)|@import|url\((?!#)", PICTURE)
    assert len(PICTURE) < 20_000


IN_SIGHT = """JSON.stringify([...document.querySelectorAll("text")].map(line => {
  const {top, bottom} = line.getBoundingClientRect(), picture = document.querySelector("svg");
  return top >= 0 && bottom <= picture.getBoundingClientRect().bottom &&
    getComputedStyle(line.lastElementChild || line).visibility === "visible";
}))"""


@pytest.mark.browser
def test_a_browser_plays_it_and_without_animation_shows_its_end(
    recording: Any, browser: Browser, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<body data-ready='yes' style='margin: 0'>{PICTURE}</body>")
    browser.open(page)
    assert browser.ask("document.getAnimations().length") > 50
    assert json.loads(browser.ask(IN_SIGHT))[-1] is False  # not printed yet
    features = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    browser.call("Emulation.setEmulatedMedia", features=features)
    browser.settle()
    assert browser.ask("document.getAnimations().length") == 0
    still = json.loads(browser.ask(IN_SIGHT))
    browser.call("Emulation.setEmulatedMedia", features=[])
    last = max(at for at, line in enumerate(recording.lines_of(PICTURE)) if line.startswith("$ "))
    assert all(still[last:])
    assert browser.problems == []
    assert browser.requests == [page.as_uri()]
