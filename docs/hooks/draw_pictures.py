"""Draw the three pictures of the README again, into docs/pictures.

    python docs/hooks/draw_pictures.py

- ``view.png``: the page of ``pluginkit view examples/models/sage_ts.onnx``. A PNG, since it shows
  what a browser draws; it needs chromium.
- ``benchmark.svg``: bars from benchmarks/results/uneven_scatter_*.json.
- ``check.svg``: what ``pluginkit check ScatterElements`` prints. It takes a minute.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from draw_charts import bars_svg, report_of
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from pluginkit.bench.bench_report import OWN
from pluginkit.cli.main import main

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
#: The results of ScatterElements where updates are uneven, and what differs between their cases.
UNEVEN = {
    "graphs": "uneven_scatter_elements",
    "scatters of elements": "uneven_scatter_cells",
}
FASTEST_PEER = "the fastest peer in each"
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


def medians(name: str, dtype: str) -> tuple[int, dict[str, float]]:
    """Return how many distributions of updates a report has, and each median of time over floor.

    Of sums. A peer that did not run in all of them has no median; FASTEST_PEER takes the fastest in
    each.
    """
    measured = [
        {peer: one.over_floor for peer, one in results.items() if one.over_floor}
        for (_, variant, of), results in report_of(name).by_workload().items()
        if (variant, of) == ("add", dtype)
    ]
    for times in measured:
        times[FASTEST_PEER] = min(time for peer, time in times.items() if peer != OWN)
    everywhere = set.intersection(*map(set, measured))
    return len(measured), {
        peer: median(times[peer] for times in measured)
        for peer in measured[0]
        if peer in everywhere
    }


def benchmark_svg() -> str:
    """Return a chart of ScatterElements and its peers: medians over distributions of updates."""
    report, groups = report_of("uneven_scatter_elements"), []
    for text, name in UNEVEN.items():
        for dtype in ("float32", "float16"):
            count, bars = medians(name, dtype)
            groups.append((f"{count} {text}, {dtype}", bars))
    machine = report.environment
    caption = (
        f"{machine['gpu']}, driver {machine['driver']}, {report.date[:10]}; sums; "
        f"the dashed line is what a copy of the bytes that must be moved takes"
    )
    title = "ScatterElements: device time over the time of a copy, medians, shorter is better"
    return bars_svg(title, caption, [*report.implementations, FASTEST_PEER], groups)


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
