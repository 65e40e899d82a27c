"""Draw a report: a roofline and bars, as PNG or in a self-contained HTML page."""

from __future__ import annotations

import base64
import html
import io
from typing import Any

from pluginkit.bench.bench_report import OWN, BenchReport
from pluginkit.bench.bench_table import summary_of, table_from_report
from pluginkit.distribution import pip_install
from pluginkit.errors import MissingDependencyError

_COLOURS = ("#76b900", "#4c72b0", "#dd8452", "#937860", "#8172b3", "#c44e52", "#64b5cd")
_MARKERS = "osD^vPX"
_BAR_INCHES = 0.13


def png_from_report(report: BenchReport) -> bytes:
    """Return a PNG with achieved bandwidth over bytes, and time over floor of each workload.

    Errors:
        PK310: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "PK310",
            "matplotlib is not installed; it is needed here.",
            fix=pip_install("bench"),
        ) from error
    bars = len(report.results) + 2 * len(report.by_workload())
    height = 5 + max(2.0, _BAR_INCHES * bars)
    figure = Figure(figsize=(10, height), layout="constrained")
    roofline, over = figure.subplots(2, 1, height_ratios=(4.5, height - 4.5))
    machine = report.environment
    figure.suptitle(f"{report.benchmark} on {machine['gpu']}, {report.date[:10]}")
    _draw_roofline(roofline, report)
    _draw_bars(over, report)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _draw_roofline(axes: Any, report: BenchReport) -> None:
    for number, name in enumerate(report.implementations):
        timed = [r for r in report.results if r.implementation == name and r.device_us]
        axes.loglog(
            [one.compulsory_bytes for one in timed],
            [one.compulsory_bytes / (one.device_us or 1) * 1e-6 for one in timed],
            _MARKERS[number % len(_MARKERS)],
            color=_COLOURS[number % len(_COLOURS)],
            label=name,
            zorder=3 if name == OWN else 2,
            alpha=0.8,
        )
    limit = report.copy_bandwidth / 1e12
    axes.axhline(limit, color="black", linewidth=1)
    axes.annotate(f"copy: {limit:.2f} TB/s", (0.01, limit), ("axes fraction", "data"), va="bottom")
    axes.set(xlabel="bytes that must be moved", ylabel="achieved, TB/s")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(fontsize=8)


def _draw_bars(axes: Any, report: BenchReport) -> None:
    names = report.implementations
    ticks, labels, at = [], [], 0.0
    for workload, found in report.by_workload().items():
        begin = at
        for name in names:
            result = found.get(name)
            if result is None or result.over_floor is None:
                continue
            colour = _COLOURS[names.index(name) % len(_COLOURS)]
            axes.barh(at, result.over_floor, height=0.9, color=colour)
            axes.annotate(f"{result.over_floor:.2f}", (result.over_floor, at), fontsize=6,
                          va="center")  # fmt: skip
            at += 1
        if at > begin:
            ticks.append((begin + at - 1) / 2)
            labels.append(" ".join(filter(None, workload)))
        at += 1
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(ticks, labels, fontsize=7)
    axes.set_ylim(max(at, 1), -1)
    axes.set_xlabel("time over floor, smaller is better")


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem;
       color: #222; background: #fff; }
table { border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: left;
         white-space: nowrap; font-variant-numeric: tabular-nums; }
img { max-width: 100%; }
small { color: #666; }
"""


def html_from_report(report: BenchReport) -> str:
    """Return an HTML page with the picture and the table; it loads nothing.

    Errors:
        PK310: matplotlib is not installed.
    """
    columns, rows = table_from_report(report)
    title = html.escape(f"{report.benchmark}: benchmark")
    picture = base64.b64encode(png_from_report(report)).decode()
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n"
        for row in rows
    )
    summary = "".join(f"<p>{html.escape(line)}</p>\n" for line in summary_of(report))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8" />
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
{summary}<img alt="roofline and bars" src="data:image/png;base64,{picture}" />
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}</tbody>
</table>
<p><small>{html.escape(report.method)}</small></p>
</body>
</html>
"""
