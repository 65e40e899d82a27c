"""Draw the three pictures of the README again, into docs/pictures.

    python docs/hooks/draw_pictures.py

- ``view.png``: the page of ``pluginkit view examples/models/sage_ts.onnx``. A PNG, since it shows
  what a browser draws; it needs chromium.
- ``benchmark.svg``: bars from benchmarks/results/scatter_elements.json.
- ``check.svg``: what ``pluginkit check ScatterElements`` prints. It takes a minute.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import tempfile
from pathlib import Path

from draw_charts import chart_of, report_of
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from pluginkit.cli.main import main

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
#: rich's own frame names fonts of a server; this one takes those that the reader has.
FRAME = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: system-ui, sans-serif }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""


def benchmark_svg() -> str:
    """Return the chart of ScatterElements and its peers, as in the table of performance.md."""
    workloads = [
        (case, "add", dtype)
        for case in ("gnn", "rows4k", "mid3d")
        for dtype in ("float32", "float16")
    ]
    return chart_of(report_of("scatter_elements"), workloads)


def check_svg() -> str:
    """Return what a check of ScatterElements prints, in a terminal's frame."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        main(["check", "ScatterElements"])
    console = Console(record=True, width=84, file=io.StringIO())
    console.print(Text("$ pluginkit check ScatterElements", style="bold"))
    colours = {"passed": "green", "failed": "red", "not run": "yellow"}
    for line in printed.getvalue().splitlines():
        word = next((each for each in colours if line.startswith(each)), line)
        console.print(Text.assemble((word, colours.get(word, "bold")), line.removeprefix(word)))
    return console.export_svg(
        title="pluginkit check", theme=DIMMED_MONOKAI, code_format=FRAME, unique_id="check"
    )


def view_png(file: Path) -> None:
    """Write a screenshot of the page that opens on a graph neural network."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("view.png needs chromium on the PATH")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        model = ROOT / "examples" / "models" / "sage_ts.onnx"
        main(["view", str(model), "-o", str(page)])
        flags = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={folder}/x"]
        size = ["--window-size=1200,760", f"--screenshot={file}"]
        subprocess.run([browser, *flags, *size, page.as_uri()], check=True)  # noqa: S603


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "benchmark.svg").write_text(benchmark_svg())
    view_png(PICTURES / "view.png")
    (PICTURES / "check.svg").write_text(check_svg())
