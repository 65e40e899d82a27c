"""Draw a benchmark's report as a bar chart in SVG, for the README and the pages of the plugins.

The background is white, so that a page of a dark theme shows the same picture.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from pluginkit.bench.bench_report import OWN, BenchReport, Measurement, report_from_document

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"

_COLOURS = ("#76b900", "#5b8def", "#e0913f", "#a07be0", "#9aa4b2", "#d9657a")
_WIDTH, _LABELS, _BAR, _GAP = 820, 250, 15, 12
#: A copy that takes less says nothing of the kernel.
_LEAST_FLOOR_US = 2.0
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1b2330 }
.small { font-size: 11px; fill: #5d6878 } .title { font-size: 14px; font-weight: 600 }
line { stroke: #9aa4b2 } line.floor { stroke-dasharray: 4 3 }
"""


def report_of(name: str) -> BenchReport:
    """Return the report in ``benchmarks/results/NAME.json``."""
    return report_from_document(json.loads((RESULTS / f"{name}.json").read_text()))


def reports() -> dict[str, BenchReport]:
    """Return the reports of plugins, by the plugin's name; of several the first, which is general.

    Those of special cases have longer names: ``grid_sample_small.json`` beside
    ``grid_sample.json``.
    """
    found: dict[str, BenchReport] = {}
    for path in sorted(RESULTS.glob("*.json")):
        document = json.loads(path.read_text())
        if {"copy_bandwidth", "results"} <= document.keys():
            report = report_from_document(document)
            found.setdefault(report.benchmark, report)
    return found


def chart_of(report: BenchReport, workloads: Iterable[tuple[str, str, str]]) -> str:
    """Return an SVG of time over floor on these workloads, by implementation.

    Args:
        report: the measurements.
        workloads: case, variant and dtype of each group of bars.
    """
    measured = report.by_workload()
    groups = [
        (" ".join(filter(None, workload)), _bars(measured[workload])) for workload in workloads
    ]
    machine = report.environment
    title = f"{report.benchmark}: device time over the time of a copy, shorter is better"
    caption = (
        f"{machine['gpu']}, driver {machine['driver']}, {report.date[:10]}; "
        f"the dashed line is what a copy of the bytes that must be moved takes"
    )
    return bars_svg(title, caption, report.implementations, groups)


def typical_workloads(report: BenchReport) -> list[tuple[str, str, str]]:
    """Return one workload of each case: the first of those that most implementations ran.

    Cases so small that launches take the time are left out where there are others, and so is a
    scatter without a reduction, which TensorRT does itself.
    """
    measured = report.by_workload()
    telling = {
        workload: results
        for workload, results in measured.items()
        if results[OWN].floor_us >= _LEAST_FLOOR_US and workload[1] != "none"
    }
    best: dict[str, tuple[int, tuple[str, str, str]]] = {}
    for workload, results in (telling or measured).items():
        ran = len(_bars(results))
        if ran > best.get(workload[0], (0, workload))[0]:
            best[workload[0]] = ran, workload
    return [workload for _, workload in best.values()]


def _bars(results: Mapping[str, Measurement]) -> dict[str, float]:
    return {name: one.over_floor for name, one in results.items() if one.over_floor is not None}


def bars_svg(
    title: str,
    caption: str,
    names: Sequence[str],
    groups: Sequence[tuple[str, Mapping[str, float]]],
) -> str:
    """Return horizontal bars: a group for each label, a bar for each name that it has.

    Args:
        title: above the chart.
        caption: below it.
        names: in the order of their colours; the first is pluginkit's.
        groups: each group's label, and its values by name.
    """
    colours = {
        name: _COLOURS[at % len(_COLOURS)]
        for at, name in enumerate(sorted(names, key=lambda each: each != OWN))
    }
    shown = [name for name in colours if any(name in bars for _, bars in groups)]
    longest = max(value for _, bars in groups for value in bars.values())
    scale = (_WIDTH - _LABELS - 60) / longest
    body, y, x = [], 64, 8
    for name in shown:
        body.append(f'<rect x="{x}" y="34" width="11" height="11" fill="{colours[name]}"/>')
        body.append(f'<text x="{x + 16}" y="44">{escape(name)}</text>')
        x += 34 + 7 * len(name)
    for label, bars in groups:
        middle = y + len(bars) * _BAR / 2 + 4
        body.append(
            f'<text x="{_LABELS - 8}" y="{middle:g}" text-anchor="end">{escape(label)}</text>'
        )
        for name in (each for each in shown if each in bars):
            width = bars[name] * scale
            body.append(
                f'<rect x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR - 3}" '
                f'fill="{colours[name]}"/>'
                f'<text class="small" x="{_LABELS + width + 5:.1f}" y="{y + 10}">'
                f"{bars[name]:.2f}</text>"
            )
            y += _BAR
        y += _GAP
    floor = _LABELS + scale
    lines = (
        f'<line x1="{_LABELS}" x2="{_LABELS}" y1="58" y2="{y - 6}"/>'
        f'<line class="floor" x1="{floor:.1f}" x2="{floor:.1f}" y1="58" y2="{y - 6}"/>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 22}" '
        f'width="{_WIDTH}" role="img" aria-label="{escape(title)}">\n<style>{_STYLE}</style>\n'
        f'<rect width="{_WIDTH}" height="{y + 22}" rx="6" fill="#ffffff"/>\n'
        f'<text class="title" x="8" y="20">{escape(title)}</text>\n'
        + "\n".join([*body, lines])
        + f'\n<text class="small" x="8" y="{y + 14}">{escape(caption)}</text>\n</svg>\n'
    )
