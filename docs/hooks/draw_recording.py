"""Draw a terminal recording of the README's first screen, as docs/pictures/recording.svg.

    python docs/hooks/draw_recording.py

It shows what two commands print: what TensorRT refuses in a model, and the plan that is built of it
all the same. The text is what they printed when this script ran; the typing and the pauses are
drawn. The animation is CSS inside the file, and plays once: a viewer without animation shows its
last frame, with all lines of the last command.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "pictures" / "recording.svg"
MODEL = "examples/models/sage_dyn.onnx"
COMMANDS = (
    f"pluginkit scan {MODEL}",
    f"pluginkit build {MODEL} --compute-capability 8.9",
)
PROMPT = "$ "
_COLUMNS = 88
#: Of a character and of a line, in the picture's units; a monospaced font is 0.6 as wide as high.
_WIDTH, _HEIGHT, _TOP = 8.4, 19, 44
_SHOWN = 20
#: Seconds for a typed character, before a command, until it prints, and until its next line.
_KEY_S, _THINK_S, _WAIT_S, _LINE_S, _READ_S = 0.035, 0.6, 0.7, 0.05, 2.5
_STYLE = """
text { font: 14px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d9dde3 }
.typed { font-weight: 600; fill: #ffffff } .prompt { fill: #76b900 }
@keyframes hidden { from, to { visibility: hidden } }
text *, .line { animation: hidden 0s }
@media (prefers-reduced-motion: reduce) { * { animation: none !important } }
"""


def transcript() -> list[str]:
    """Run the commands, and return their lines as a terminal would show them."""
    lines: list[str] = []
    environment = {**os.environ, "COLUMNS": str(_COLUMNS), "NO_COLOR": "1"}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "examples", Path(folder) / "examples")
        for command in COMMANDS:
            program = Path(sys.executable).with_name("pluginkit")
            done = subprocess.run(  # noqa: S603
                [program, *command.split()[1:]],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            lines.append(PROMPT + command)
            for line in done.stdout.rstrip().splitlines():
                lines += textwrap.wrap(line, _COLUMNS, drop_whitespace=False) or [""]
    return [line.rstrip() for line in lines]


def recording_svg(lines: Sequence[str]) -> str:
    """Return the recording of these lines; those that begin with the prompt are typed."""
    now, body, scrolls = 0.0, [], [(0.0, 0)]
    for row, line in enumerate(lines):
        if row >= _SHOWN:
            scrolls.append((now, row - _SHOWN + 1))
        y = _TOP + (row + 1) * _HEIGHT
        if line.startswith(PROMPT):
            now += _READ_S if row else 0.0
            if row >= _SHOWN:
                scrolls[-1] = (now, row - _SHOWN + 1)
            appears, now = now, now + _THINK_S
            typed = []
            for character in line.removeprefix(PROMPT):
                typed.append(f'<tspan style="{_until(now)}">{_text(character)}</tspan>')
                now += _KEY_S
            now += _WAIT_S
            body.append(
                f'<text class="line" style="{_until(appears)}" x="16" y="{y}">'
                f'<tspan class="prompt">{_text(PROMPT)}</tspan>'
                f'<tspan class="typed">{"".join(typed)}</tspan></text>'
            )
        else:
            body.append(
                f'<text class="line" style="{_until(now)}" x="16" y="{y}">'
                f"{_text(line or ' ')}</text>"
            )
            now += _LINE_S
    return _framed(body, scrolls, now)


def _until(seconds: float) -> str:
    """Return the style of what is hidden until then."""
    return f"animation-duration:{seconds:.2f}s"


def _text(text: str) -> str:
    return escape(text, quote=False).replace(" ", "\N{NO-BREAK SPACE}")


def _framed(body: Sequence[str], scrolls: Sequence[tuple[float, int]], seconds: float) -> str:
    """Return the picture of a terminal that shows the last lines, and scrolls to them."""
    steps = "".join(
        f" {100 * at / seconds:.2f}% {{ transform: translateY({-_HEIGHT * rows}px) }}"
        for at, rows in scrolls
    )
    width, height = round(_COLUMNS * _WIDTH) + 32, _TOP + _SHOWN * _HEIGHT + 18
    last = _HEIGHT * scrolls[-1][1]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'role="img" aria-label="{escape(" and ".join(COMMANDS))}">\n<style>{_STYLE}'
        f"@keyframes scroll {{{steps} }}\n"
        f".lines {{ animation: scroll {seconds:.2f}s step-end }}\n</style>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="#1b2027"/>\n'
        '<circle cx="20" cy="18" r="5" fill="#d9657a"/><circle cx="37" cy="18" r="5" '
        'fill="#e0913f"/><circle cx="54" cy="18" r="5" fill="#76b900"/>\n'
        f'<clipPath id="screen"><rect y="{_TOP + 6}" width="{width}" '
        f'height="{_SHOWN * _HEIGHT}"/></clipPath>\n'
        f'<g clip-path="url(#screen)"><g class="lines" transform="translate(0 {-last})">\n'
        + "\n".join(body)
        + "\n</g></g>\n</svg>\n"
    )


def lines_of(picture: str) -> list[str]:
    """Return the lines that a recording holds."""
    texts = ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")  # noqa: S314  # our own
    return ["".join(text.itertext()).replace("\N{NO-BREAK SPACE}", " ").rstrip() for text in texts]


if __name__ == "__main__":
    PICTURE.write_text(recording_svg(transcript()), encoding="utf-8")
